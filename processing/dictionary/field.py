"""One published column, as `tables.py`, `events.py` and `states.py` list them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_T_UTC_NS: Final = 4_102_444_800 * 1_000_000_000
"""2100-01-01: a later time is a clock gone wrong."""


@dataclass(frozen=True, slots=True)
class Field:
    """One published column. ``null_means`` says why a value can be absent; empty where it never is.

    Every column says what its values may be. A number has ``low`` or ``high`` or both, or is ``unbounded`` in so many words; a text is
    one of ``words``, or any text where there are none.

    Raises ``ValueError`` where that is missing, or is said of a type it does not fit.
    """

    name: str
    type: str  # int64, float64, string, bool, json
    unit: str
    meaning: str
    null_means: str = ""
    low: float | None = None
    high: float | None = None
    since: str = "0.1.0"
    words: tuple[str, ...] = ()
    unbounded: bool = False

    def __post_init__(self) -> None:
        bounded = self.low is not None or self.high is not None
        if self.type in ("int64", "float64"):
            if bounded == self.unbounded:
                raise ValueError(f"{self.name}: a number has an end (low, high), or no end and unbounded=True")
        elif bounded or self.unbounded:
            raise ValueError(f"{self.name}: only a number has an end or is unbounded, not a {self.type}")
        if self.words and self.type != "string":
            raise ValueError(f"{self.name}: words belong to a string, not to {self.type}")

    @property
    def range(self) -> str:
        """What its values may be, for people."""
        if self.unbounded:
            return "any"
        if self.high == MAX_T_UTC_NS:
            return "1970 … 2100"
        if self.low is not None or self.high is not None:
            ends = ("" if end is None else format(end, "g") for end in (self.low, self.high))
            return " … ".join(ends).strip()
        return {"string": ", ".join(self.words) or "any text", "bool": "true, false", "json": "object or list"}[
            self.type
        ]


def instant(name: str, meaning: str, null_means: str = "") -> Field:
    """A time."""
    return Field(name, "int64", "ns", meaning, null_means, 0, MAX_T_UTC_NS)
