"""A seeded cohort: three wearers, a day of seconds with a two-hour hole, and the days before as minutes.

Records as the pipeline gives them, turned into points by the bridge's own line protocol. Deterministic; the shapes are
believable (posture blocks, tilt that follows posture, dose above a limit), the numbers are nobody's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from processing.types import NS_PER_S, POSTURES, DeviceReport, Epoch, Event, Metric, Record
from sensor_gateway.bridge.states import point
from sensor_gateway.wire.line import line

DAY_START_S = 1_789_948_800  # 2026-09-21 00:00 UTC, a Monday
WORN_FROM_H, WORN_TO_H = 6, 21
HOLE_FROM_H, HOLE_TO_H = 12, 14
DAYS_BEFORE = 13
UPRIGHT = ("standing", "walking", "stairs")


@dataclass(frozen=True, slots=True)
class Wearer:
    id: str
    site: str
    sensor: str
    standing_tilt_deg: float
    flags: int


WEARERS = (
    Wearer("w-001", "home", "clip-1", 8.0, 3),
    Wearer("w-002", "clinic", "clip-2", 2.5, 1),
    Wearer("w-003", "clinic", "clip-3", 5.0, 0),
)
_BLOCKS = ("sitting", "standing", "walking", "sitting", "standing", "walking", "stairs", "standing", "lying", "unknown")
_TILT_DEG = {"sitting": -15.0, "lying": -6.0}


def received(minute_of_day: int) -> bool:
    """Whether anything arrived in this minute: worn hours without the hole."""
    hour = minute_of_day / 60
    return WORN_FROM_H <= hour < WORN_TO_H and not HOLE_FROM_H <= hour < HOLE_TO_H


@cache
def records(wearer: Wearer, day: int) -> tuple[Record, ...]:
    """One wearer's day; ``day`` 0 is the last one and the only one with seconds and device reports."""
    return tuple(_day(wearer, day))


def lines() -> list[str]:
    """All points; the last day ends at ``DAY_START_S + 86400``."""
    return [
        *states(),
        *_records(),
    ]


def states(sites: tuple[str, ...] = ("home", "clinic"), start_s: int = DAY_START_S) -> Iterator[str]:
    """What gateways and bridges said of themselves on the day that starts then, silent in the hole."""
    for site in sites:
        for minute in filter(received, range(24 * 60)):
            t_ns = (start_s + minute * 60) * NS_PER_S
            gateway: dict[str, float] = {
                "online": 1,
                "received": minute * 61,
                "delivered": minute * 60,
                "dropped": minute // 2,
                "queued": minute * 61 - minute * 60 - minute // 2,
                "set_aside": 0,
                "lag_s": 3.0,
                "clock_offset_s": 0.2,
                "clock_step_s": 0.0,
                "disk_free_mb": 50_000.0 - minute,
                "memory_mb": 160.0,
                "open_fds": 40,
                "dbus_connections": 1,
                "refused": 2,
            }
            yield point("gateway", {"site": site, "gateway": f"gw-{site}"}, gateway, t_ns)
            bridge: dict[str, float] = {
                "received": minute * 60 + 9,
                "written": minute * 60,
                "rejected": 2,
                "dropped": 0,
                "queued": 7,
                "duplicates": 5,
                "dead_letters": 2,
                "lag_s": 1.0,
                "disk_free_mb": 60_000.0,
                "memory_mb": 60.0,
                "open_fds": 20,
            }
            yield point("bridge", {"site": site, "bridge": "bridge-1"}, bridge, t_ns)
            yield point("bridge", {"site": site, "bridge": "bridge-2"}, bridge | {"queued": 0}, t_ns)


def _records() -> list[str]:
    return [
        line(wearer.site, wearer.id, wearer.sensor, record)
        for wearer in WEARERS
        for day in range(-DAYS_BEFORE, 1)
        for record in records(wearer, day)
    ]


def _day(wearer: Wearer, day: int) -> Iterator[Record]:
    rng = random.Random(f"{wearer.id} {day}")
    start_s = DAY_START_S + day * 86_400
    for minute in filter(received, range(24 * 60)):
        posture, tilt_deg = _minute(wearer, minute, rng)
        t_ns = (start_s + minute * 60) * NS_PER_S
        yield _epoch(t_ns, posture, tilt_deg, rng)
        if day == 0:
            yield from _seconds(t_ns, posture, tilt_deg, rng)
            yield _device(t_ns, minute)
    yield from _events(wearer, start_s)


def _minute(wearer: Wearer, minute: int, rng: random.Random) -> tuple[str, float]:
    posture = "not_worn" if minute % 300 > 292 else _BLOCKS[minute // 13 % len(_BLOCKS)]
    upright_deg = wearer.standing_tilt_deg + 2 * math.sin(minute / 60)
    return posture, _TILT_DEG.get(posture, upright_deg) + rng.gauss(0, 0.8)


def _seconds(t_ns: int, posture: str, tilt_deg: float, rng: random.Random) -> Iterator[Metric]:
    worn = posture != "not_worn"
    for s in range(60):
        yield Metric(
            t_utc_ns=t_ns + s * NS_PER_S,
            anterior_tilt_deg=tilt_deg + rng.gauss(0, 0.5) if worn else None,
            obliquity_deg=0.4 if worn else None,
            tilt_uncertainty_deg=2.1 if worn else None,
            posture=posture,
            posture_confidence=0.93,
            coverage=0.99,
            quality=0.95 if worn else 0.2,
        )


def _epoch(t_ns: int, posture: str, tilt_deg: float, rng: random.Random) -> Epoch:
    upright = posture in UPRIGHT
    sd_deg = 0.5 + rng.random()
    return Epoch(
        t_utc_ns=t_ns,
        tilt_mean_deg=tilt_deg if upright else None,
        tilt_median_deg=tilt_deg if upright else None,
        tilt_p5_deg=tilt_deg - 1.6 * sd_deg if upright else None,
        tilt_p95_deg=tilt_deg + 1.6 * sd_deg if upright else None,
        tilt_sd_deg=sd_deg if upright else None,
        dose_deg_min=max(0.0, tilt_deg - 5) if upright else None,
        coverage=0.985,
        wear=0.0 if posture == "not_worn" else 1.0,
        **{f"{p}_s": 60 if p == posture else 0 for p in POSTURES},
    )


def _device(t_ns: int, minute: int) -> DeviceReport:
    return DeviceReport(
        t_utc_ns=t_ns,
        battery_percent=95 - minute / 40,
        rssi_dbm=-60.0 - minute % 9,
        rate_hz=99.9,
        frames_received=minute * 600,
        frames_lost=minute // 50,
        frames_rejected=minute // 400,
        link="streaming",
    )


def _events(wearer: Wearer, start_s: int) -> Iterator[Event]:
    def event(hour: float, kind: str, rule: str | None = None, **data: str | float) -> Event:
        t_ns = (start_s + round(hour * 3600)) * NS_PER_S
        return Event(t_ns, f"{wearer.id}-{t_ns}-{kind}", kind, rule, data)

    yield event(WORN_FROM_H, "wear_on")
    yield event(WORN_FROM_H + 0.1, "alignment", alignment_id="static-1")
    yield event(WORN_FROM_H + 0.2, "mount")
    yield event(WORN_FROM_H + 0.3, "clock", kind_of_fit="fit")
    for i in range(wearer.flags):
        hour = 8.0 + 3 * i
        yield event(hour - 0.2, "episode_start", "sustained_tilt", threshold_deg=6.0)
        yield event(hour, "flag", "sustained_tilt", text="Tilt was 3.1° above the limit for 10 min while standing.")
        if i % 2 == 0:
            yield event(hour, "prompt", "sustained_tilt", exercise="isometric_glute_set")
        else:
            yield event(hour, "suppressed", "sustained_tilt", reason="refractory")
        yield event(hour + 0.2, "episode_end", "sustained_tilt", reason="below")
    yield event(HOLE_TO_H, "gap", missing=720_000)
    yield event(WORN_TO_H, "wear_off")
