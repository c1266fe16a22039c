"""Recordings on disk: read, checked, guessed at where foreign, and aligned."""
