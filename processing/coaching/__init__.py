"""Coaching: which exercise a prompt names and how it says so. The rules decide when; the therapist decides what."""

from processing.coaching.coach import Coach
from processing.coaching.programme import Exercise, check_programme, library
from processing.coaching.prompts import composer, rule_engine

__all__ = ["Coach", "Exercise", "check_programme", "composer", "library", "rule_engine"]
