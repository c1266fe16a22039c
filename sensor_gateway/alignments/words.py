"""A wearer's alignments in lines that a person reads; `cli/alignment.py` prints them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from processing.types import NS_PER_S
from sensor_gateway.alignments.notes import Offset


def offset_words(offset: Offset | None) -> str:
    """A therapist's offset in use, or that there is none."""
    if offset is None:
        return "no therapist's offset: absolute tilt is not known"
    o = offset.offset
    return f"offset {o.angle_deg:+.1f} ± {o.sigma_deg:.1f} deg ({o.method}, {o.rater}): absolute tilt = tilt + offset"


def row_words(r: dict[str, Any], zone: ZoneInfo) -> str:
    """One row of `as_rows`."""
    when = at_words(r["t_utc_ns"], zone)
    if r["kind"] == "offset":
        old = "  (replaced)" if r["superseded"] else ""
        return f"{when}  {'-':8} offset      {r['angle_deg']:+.1f} ± {r['sigma_deg']:.1f} deg, {r['method']}, {r['rater']}, note {r['version']}{old}"
    if r["kind"] == "refused":
        return f"{when}  {r['sensor']:8} refused     {r.get('reason') or r.get('remedy')}"
    if r["kind"] != "alignment":
        return f"{when}  {r['sensor']:8} {r['kind']:11} {r.get('text') or r['id']}"
    if "method" not in r:
        return f"{when}  {r['sensor']:8} found       {r.get('text', '')}"
    until = "now" if r["until_utc_ns"] is None else at_words(r["until_utc_ns"], zone)
    span = "replaced" if r["superseded"] else f"until {until}, then ± {r['uncertainty_at_end_deg']:.1f}"
    return f"{when}  {r['sensor']:8} alignment   {r['id']} ± {r['uncertainty_deg']:.1f} deg, {zero_words(r)}, {r['why']}; {span}"


def zero_words(r: dict[str, Any]) -> str:
    """What zero is."""
    return "zero at the neutral pose" if r["has_neutral"] else "no neutral pose"


def at_words(t_utc_ns: int, zone: ZoneInfo) -> str:
    """A time in the site's zone."""
    return datetime.fromtimestamp(t_utc_ns // NS_PER_S, zone).strftime("%Y-%m-%d %H:%M:%S")
