"""What Grafana does to a query before it sends it: time filter, interval, variables in their formats.

Rewritten from Grafana's documented behaviour, so that the queries of the dashboards can be run without Grafana.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# (up to this many ms a bucket, Grafana chooses this many): the steps its interval is rounded to.
_STEPS_MS = (
    (1_500, 1_000), (3_500, 2_000), (7_500, 5_000), (12_500, 10_000), (17_500, 15_000), (25_000, 20_000),
    (45_000, 30_000), (90_000, 60_000), (210_000, 120_000), (450_000, 300_000), (750_000, 600_000),
    (1_050_000, 900_000), (1_500_000, 1_200_000), (2_700_000, 1_800_000), (5_400_000, 3_600_000),
    (9_000_000, 7_200_000), (16_200_000, 10_800_000), (32_400_000, 21_600_000), (64_800_000, 43_200_000),
)  # fmt: skip
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")


@dataclass(frozen=True, slots=True)
class View:
    """What a reader looks at: from, to [ms], the panel's width in points, and the chosen variables."""

    from_ms: int
    to_ms: int
    variables: Mapping[str, str | Sequence[str]]
    max_points: int = 1_500

    def interval_ms(self, minimum: str) -> int:
        raw = (self.to_ms - self.from_ms) / self.max_points
        chosen = next((step for limit, step in _STEPS_MS if raw < limit), 86_400_000)
        return max(chosen, duration_ms(minimum)) if minimum else chosen


def duration_ms(text: str) -> int:
    """ "15m" → 900000."""
    return int(text[:-1]) * _UNIT_MS[text[-1]]


def interpolate(query: str, view: View, minimum: str = "") -> str:
    """The text that reaches the database; raises KeyError for a variable the dashboard does not define."""
    interval = view.interval_ms(minimum)

    def replace(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        if name == "timeFilter":
            return f"time >= {view.from_ms}ms and time <= {view.to_ms}ms"
        if name == "__interval":
            return f"{interval // 1000}s"
        return _formatted(view.variables[name], match[2] or "regex")

    return _VARIABLE.sub(replace, query)


def _formatted(value: str | Sequence[str], style: str) -> str:
    if style == "raw":
        assert isinstance(value, str)
        return value
    assert style == "regex", f"unknown variable format {style!r}"
    if isinstance(value, str):
        return _escaped(value)
    return f"({'|'.join(_escaped(v) for v in value)})"


def _escaped(value: str) -> str:
    return re.sub(r"([\\^$*+?.()|\[\]{}/])", r"\\\1", value)
