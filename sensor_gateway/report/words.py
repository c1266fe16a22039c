"""The reports' sentences: a catalogue per language, and numbers as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final

from processing.types import NS_PER_S

LANGUAGES: Final = ("en",)


@cache
def catalogue(language: str = "en") -> Mapping[str, str]:
    """All sentences by key; ValueError for a language without a catalogue."""
    if language not in LANGUAGES:
        raise ValueError(f"there is no report in {language!r}; choose one of {', '.join(LANGUAGES)}")
    text = files("sensor_gateway.report").joinpath(f"i18n/{language}.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


def say(key: str, language: str = "en", **values: object) -> str:
    """A sentence with its values, safe to stand in HTML: values can come from what people typed."""
    return escape(catalogue(language)[key].format(**values))


def degrees(value: float) -> str:
    """A signed angle, rounded to a tenth; a true minus sign."""
    text = f"{value:+.1f}".replace("-", "−")
    return ("0.0" if text in ("+0.0", "−0.0") else text) + "°"


def from_neutral(value: float) -> str:
    """An angle in words: forward or back of neutral."""
    rounded = round(value, 1)
    if rounded == 0:
        return catalogue()["tilt.neutral"]
    return catalogue()["tilt.forward" if rounded > 0 else "tilt.back"].format(n=abs(rounded))


def duration(seconds: float) -> str:
    """Hours and minutes."""
    minutes = round(seconds / 60)
    key = "duration.h_min" if minutes >= 60 else "duration.min"
    return catalogue()[key].format(h=minutes // 60, m=minutes % 60)


def clock(t_utc_ns: int, zone: tzinfo) -> str:
    """Local time of day."""
    return datetime.fromtimestamp(t_utc_ns // NS_PER_S, zone).strftime("%H:%M")
