"""The reports' sentences: the wearer's page's own catalogue with what only a report says, and numbers as people read them.

One catalogue for both, so that a report never calls a thing by another word, or rounds it another way, than the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from processing.types import NS_PER_S

LANGUAGES: Final = ("en",)


@cache
def catalogue(language: str = "en") -> Mapping[str, str]:
    """All sentences by key; ValueError for a language without a catalogue."""
    if language not in LANGUAGES:
        raise ValueError(f"there is no report in {language!r}; choose one of {', '.join(LANGUAGES)}")
    found: dict[str, str] = {}
    for package, folder in (("sensor_gateway.web", "static/i18n"), ("sensor_gateway.report", "i18n")):
        found |= json.loads(files(package).joinpath(f"{folder}/{language}.json").read_text(encoding="utf-8"))
    return found


def say(key: str, language: str = "en", **values: object) -> str:
    """A sentence with its values, safe to stand in HTML: values can come from what people typed."""
    return escape(catalogue(language)[key].format(**values))


def from_neutral(value: float) -> str:
    """An angle in words, forward or back of neutral, in whole degrees as on the page."""
    whole = _whole(abs(round(value, 2)))
    if whole == 0:
        return catalogue()["today.middle_neutral"]
    return catalogue()["today.middle_forward" if value > 0 else "today.middle_back"].format(n=whole)


def duration(seconds: float) -> str:
    """Hours and minutes, as on the page."""
    minutes = _whole(seconds / 60)
    h, m = divmod(minutes, 60)
    if seconds < 60:
        return catalogue()["duration.s"].format(s=_whole(seconds))
    return catalogue()["duration.min" if not h else "duration.h_min" if m else "duration.h"].format(h=h, m=m)


def dose(data: Mapping[str, Any]) -> str:
    """Which side, how often, how long; what is not known is left away."""
    parts = [catalogue()[f"prompt.side.{side}"]] if (side := data.get("side")) in ("left", "right", "both") else []
    parts += [_many(f"prompt.{key}", n) for key in ("sets", "reps") if isinstance(n := data.get(key), int) and n]
    hold = data.get("hold_s")
    return " · ".join([*parts, catalogue()["prompt.hold"].format(n=hold)] if hold else parts)


def clock(t_utc_ns: int, zone: tzinfo) -> str:
    """Local time of day."""
    return datetime.fromtimestamp(t_utc_ns // NS_PER_S, zone).strftime("%H:%M")


def _many(key: str, n: int) -> str:
    return catalogue()[f"{key}.one" if n == 1 else f"{key}.other"].format(n=n)


def _whole(value: float) -> int:
    """A positive number rounded as a browser does: halves go up."""
    return int(value + 0.5)
