"""Growth and exactness: long pieces, cohorts, capacity, bit identity."""
