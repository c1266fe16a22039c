"""A synthetic cohort for demonstrations: people, days and clips that are drawn, decided on by the real rules."""
