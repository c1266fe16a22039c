"""Growth: long pieces, cohorts, capacity."""
