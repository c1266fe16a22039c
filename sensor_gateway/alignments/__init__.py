"""A wearer's alignments on record: their history, the notes people add, what files of others state, absolute tilt for the eye."""
