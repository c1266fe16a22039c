"""When a harder or an easier exercise is proposed to the therapist. Nothing changes until the therapist agrees.

Harder: an exercise was done on enough days over at least two weeks while every pain score of those weeks stayed low.
Easier: pain rose against the wearer's own last weeks, on two days of a week. Both are choices of ours, not evidence
(trials ran 6 to 16 weeks, `docs/evidence.md`). Days are local dates; counting is in integers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median_low
from typing import Any, Final

from processing.types import Json

KEPT_DAYS: Final = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """The rule's numbers; they stand in every proposal."""

    done_days: int = 6
    over_days: int = 14
    most_pain: int = 3
    rise: int = 2
    rise_days: int = 2
    rise_window_days: int = 7
    usual_window_days: int = 21
    usual_scores: int = 3
    rest_days: int = 14

    def as_json(self) -> dict[str, Json]:
        """The same as plain JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class Progress:
    """Days on which exercises were done and pain was logged, as far back as the rule looks."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._done: dict[str, list[str]] = {}
        self._pain: list[tuple[str, int]] = []

    def done(self, exercise: str, day: str) -> None:
        """An exercise was done on a local day."""
        days = self._done.setdefault(exercise, [])
        if day not in days:
            days.append(day)
            days.sort()
        first = _before(day, KEPT_DAYS)
        self._done = {name: kept for name, all_ in self._done.items() if (kept := [d for d in all_ if d >= first])}

    def pain(self, score: int, day: str) -> None:
        """Pain was logged on a local day."""
        first = _before(day, KEPT_DAYS)
        self._pain = [(d, s) for d, s in self._pain if d >= first] + [(day, score)]

    def ready(self, exercise: str, day: str, since_day: str) -> dict[str, Json] | None:
        """What speaks for a harder exercise on ``day``, None where not enough does; ``since_day``: counted from there."""
        rule = self.limits
        days = [d for d in self._done.get(exercise, ()) if since_day <= d <= day]
        if len(days) < rule.done_days or _days_between(days[0], day) < rule.over_days:
            return None
        scores = [s for d, s in self._pain if _before(day, rule.over_days) <= d <= day]
        if any(s > rule.most_pain for s in scores):
            return None
        return {
            "done_days": len(days),
            "first_day": days[0],
            "highest_pain": max(scores, default=None),
            "pain_scores": len(scores),
        }

    def rising(self, day: str) -> dict[str, Json] | None:
        """What speaks for an easier exercise on ``day``: pain above the wearer's own usual on several days of a week."""
        rule = self.limits
        week, weeks = _before(day, rule.rise_window_days - 1), _before(day, rule.usual_window_days + 6)
        earlier = [s for d, s in self._pain if weeks <= d < week]
        if len(earlier) < rule.usual_scores:
            return None
        usual = median_low(earlier)
        high: dict[str, int] = {}
        for d, s in self._pain:
            if week <= d <= day and s >= usual + rule.rise:
                high[d] = max(s, high.get(d, 0))
        if len(high) < rule.rise_days:
            return None
        return {"usual_pain": usual, "days_above": len(high), "highest_pain": max(high.values())}

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        return {"done": {k: list(v) for k, v in self._done.items()}, "pain": [list(p) for p in self._pain]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`."""
        self._done = {k: list(v) for k, v in state["done"].items()}
        self._pain = [_pair(p) for p in state["pain"]]


def _pair(pair: Sequence[Any]) -> tuple[str, int]:
    return pair[0], pair[1]


def _before(day: str, days: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()


def _days_between(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days
