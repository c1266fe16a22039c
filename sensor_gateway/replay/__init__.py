"""Days derived again from the raw journal: as they were lived, with hindsight, on a cluster, and compared."""
