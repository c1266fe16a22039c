"""The therapist's four dashboards.

They show what was measured, how much of the day that covers and how sure it is; they judge nobody. Words are
non-diagnostic: what a flag means for a person is for the therapist and the wearer to say.
"""

from dashboards.therapist.client_day import client_day
from dashboards.therapist.client_weeks import client_weeks
from dashboards.therapist.cohort import cohort
from dashboards.therapist.review import review

__all__ = ["client_day", "client_weeks", "cohort", "review"]
