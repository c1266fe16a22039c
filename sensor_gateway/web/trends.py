"""Weeks at a glance for the wearer: one row a day with wear time, tilt by posture, and what happened; pure functions.

A day without data is a row whose values are None, so that the page draws a hole and never a zero. The baseline of a
day is what the rules froze when it ended (events of type ``baseline``), so its history is what was truly in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from processing.types import Event
from sensor_gateway.report.minutes import COMPARED, PostureTilt, tilt_in
from sensor_gateway.sinks.records import Minute
from sensor_gateway.web.shape import View


def day_row(day: date, minutes: Sequence[Minute], events: Sequence[Event]) -> View:
    """One local day; ``events`` are those of the day."""
    pain = [score for e in events if e.type == "pain" and isinstance(score := e.data.get("score"), int)]
    return {
        "day": day.isoformat(),
        "worn_h": _hours(minutes),
        "tilt": {p: _tilt(found) for p in COMPARED if (found := tilt_in(p, minutes))},
        "flags": sum(e.type == "flag" for e in events),
        "prompts": sum(e.type == "prompt" for e in events),
        "done": done(events),
        "pain_max": max(pain, default=None),
    }


def _tilt(found: PostureTilt) -> View:
    low, middle, high = (round(v, 2) for v in (found.p10_deg, found.median_deg, found.p90_deg))
    return {"minutes": found.minutes, "low_deg": low, "median_deg": middle, "high_deg": high}


def done(events: Sequence[Event]) -> int:
    """Exercises done; one that was logged for a prompt and answered with "done" as well counts once."""
    logged = [e for e in events if e.type == "exercise"]
    told = {e.data.get("prompt_event_id") for e in logged}
    answers = (e for e in events if e.type == "answer" and e.data.get("answer") == "done")
    return len(logged) + sum(e.data.get("prompt_event_id") not in told for e in answers)


def baselines(events: Sequence[Event]) -> list[View]:
    """How the wearer's own usual tilt developed: per frozen day and posture its median and the limit that follows."""
    found: list[View] = []
    for event in events:
        if event.type != "baseline":
            continue
        data: Mapping[str, Any] = event.data
        found.append(
            {
                "day": data.get("day"),
                "version": data.get("baseline_version"),
                "postures": {
                    name: {key: one.get(key) for key in ("median_deg", "threshold_deg", "source")}
                    for name, one in (data.get("postures") or {}).items()
                },
            }
        )
    return found


def _hours(minutes: Sequence[Minute]) -> float | None:
    """Hours worn; None where nothing at all was received, which is not the same as not worn."""
    if all(posture is None for posture, *_ in minutes):
        return None
    return round(sum(worn_s for _, _, worn_s, _ in minutes) / 3600, 2)
