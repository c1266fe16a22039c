"""A wearer's alignments on record: their history, the notes people add, corrections of the past, absolute tilt for the eye."""
