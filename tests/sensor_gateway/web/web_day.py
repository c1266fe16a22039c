"""A wearer's day in a real store, for the page's tests: scripted postures and tilts, flags by the real rule engine."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from processing.coaching import rule_engine
from processing.rules.study import StaticRule, Study, study_hash
from processing.types import NS_PER_S, POSTURES, DeviceReport, Epoch, Event, Metric, Record, RuleEpoch
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store

WEARER: Final = "w-001"
SENSOR: Final = "clip-1"
ZONE: Final = ZoneInfo("Europe/Berlin")
MINUTE_NS: Final = 60 * NS_PER_S
STUDY: Final = Study(timezone="Europe/Berlin", static_posture=StaticRule(enabled=False))
"""A day about tilt: its long sits and stands would otherwise take the day's prompts."""

# local start, posture of the stretch, mean tilt above neutral; None: nothing was received
DAY: Final = (
    ("07:10", "standing", 2.0),
    ("07:48", "walking", 3.0),
    ("08:12", "sitting", -8.0),
    ("09:40", "standing", 2.5),
    ("09:52", "walking", 3.0),
    ("09:58", "sitting", -9.0),
    ("11:25", "not_worn", 0.0),
    ("11:50", None, 0.0),
    ("12:25", "walking", 3.5),
    ("12:50", "standing", 9.4),
    ("13:32", "sitting", -7.0),
    ("14:50", "walking", 3.0),
    ("15:05", "standing", 8.8),
    ("15:50", "sitting", -8.0),
    ("16:20", "lying", -84.0),
    ("16:45", "unknown", 0.0),
    ("16:50", "standing", 2.0),
)
END: Final = "17:20"


def utc_ns(text: str, day: str = "2026-03-10") -> int:
    """A local time of the scripted day as UTC nanoseconds."""
    return int(datetime.fromisoformat(f"{day}T{text}").replace(tzinfo=ZONE).timestamp()) * NS_PER_S


def records(day: str = "2026-03-10", end: str = END) -> list[Record]:
    """The day's minutes, events, device reports, and the seconds of its last two minutes."""
    rng = np.random.default_rng(7)
    engine = rule_engine(SENSOR, STUDY, study_hash(STUDY))
    found: list[Record] = []
    starts = [*(utc_ns(at, day) for at, _, _ in DAY), utc_ns(end, day)]
    drift = 0.0
    for (_, posture, level), t0, t1 in zip(DAY, starts, starts[1:], strict=False):
        if posture is None:
            continue
        for t in range(t0, t1, MINUTE_NS):
            drift = 0.8 * drift + rng.normal(0, 0.5)
            tilts = level + drift + rng.normal(0, 1.6 if posture == "walking" else 0.5, 6)
            found.append(_minute(t, posture, tilts))
            found.extend(
                engine.update([_ten_seconds(t // NS_PER_S // 10 + i, posture, v) for i, v in enumerate(tilts)])
            )
            if (t // MINUTE_NS) % 10 == 0:
                found.append(
                    DeviceReport(t, battery_percent=90.0 - (t - starts[0]) / (30 * 60 * MINUTE_NS), link="streaming")
                )
    found.extend(engine.finish())
    found.append(Event(starts[0], "aa01", "alignment", None, {"outcome": "in force", "alignment_id": "n1"}))
    found.extend(second(starts[-1] - i * NS_PER_S, 2.1) for i in range(120, 0, -1))
    return found


def second(t_utc_ns: int, tilt_deg: float | None, posture: str = "standing") -> Metric:
    """One stored second."""
    uncertainty = None if tilt_deg is None else 1.4
    return Metric(t_utc_ns, tilt_deg, 0.5, uncertainty, posture, 0.93, 1.0, 0.91)


def seed(path: Path, day: str = "2026-03-10", end: str = END) -> int:
    """Write the day into a store; gives the moment it ends, UTC nanoseconds."""
    store = Store.open(path)
    store.write(Owned(WEARER, SENSOR, r) for r in records(day, end))
    store.close()
    return utc_ns(end, day)


def seed_until(path: Path, now_ns: int) -> None:
    """Write the same day so that it ends at ``now_ns``: for a page that runs on the real clock."""
    shift = now_ns // MINUTE_NS * MINUTE_NS - utc_ns(END)
    store = Store.open(path)
    moved = [_moved(r, shift) for r in records()]
    store.write(Owned(WEARER, SENSOR, r) for r in moved)
    store.close()


def _moved(record: Record, shift_ns: int) -> Record:
    """The record at another time; windows inside a flag's data move along."""
    changes: dict[str, object] = {"t_utc_ns": record.t_utc_ns + shift_ns}
    if isinstance(record, Event) and isinstance(record.data.get("window"), dict):
        window = {k: v + shift_ns for k, v in dict(record.data["window"]).items()}
        changes["data"] = {**record.data, "window": window}
    return dataclasses.replace(record, **changes)


def _minute(t: int, posture: str, tilts: np.ndarray) -> Epoch:
    upright = posture in ("standing", "walking")
    stats = (
        [float(tilts.mean()), float(np.median(tilts)), *map(float, np.percentile(tilts, [5, 95])), float(tilts.std())]
        if upright
        else [None] * 5
    )
    seconds = [60 if p == posture else 0 for p in POSTURES]
    shifts = t // MINUTE_NS % 2 if posture in ("sitting", "standing") else None
    return Epoch(t, *stats, *seconds, None, 1.0, 0.0 if posture == "not_worn" else 1.0, shifts)


def _ten_seconds(k: int, posture: str, tilt: float) -> RuleEpoch:
    return RuleEpoch(k, 1000, posture, 950, round(tilt * 1000), 500, False, "m1", "neutral-1")
