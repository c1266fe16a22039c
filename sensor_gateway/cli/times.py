"""Times on the command line."""

from __future__ import annotations

import argparse
import os
from zoneinfo import ZoneInfo

from sensor_gateway.clock import utc_ns_of


def utc_ns(text: str) -> int:
    """An ISO 8601 date or time as UTC nanoseconds; without an offset it is UTC."""
    try:
        return utc_ns_of(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write e.g. 2026-03-01T08:00:00Z") from None


def local_timezone() -> str:
    """The machine's time zone by its IANA name; UTC where it does not say."""
    named = os.environ.get("TZ", "").lstrip(":")
    link = os.path.realpath("/etc/localtime")
    name = named or (link.split("zoneinfo/", 1)[1] if "zoneinfo/" in link else "UTC")
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return "UTC"
    return name
