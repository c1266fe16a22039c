"""Days derived again from the raw journal: as they were lived, with hindsight, with other alignments, on a cluster, and compared."""
