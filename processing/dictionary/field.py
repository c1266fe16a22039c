"""One published column, as `tables.py`, `events.py` and `states.py` list them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """One published column. ``null_means`` says why a value can be absent; empty where it never is."""

    name: str
    type: str  # int64, float64, string, bool, json
    unit: str
    meaning: str
    null_means: str = ""
    low: float | None = None
    high: float | None = None
    since: str = "0.1.0"
