"""A seeded cohort: three wearers, a day of seconds with a two-hour hole, and the days before as minutes.

Line protocol by the measurements and columns of the data dictionary. Deterministic; the shapes are believable (posture
blocks, tilt that follows posture, dose above a limit), the numbers are nobody's.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from processing.types import NS_PER_S, POSTURES

MIN_NS = 60 * NS_PER_S
DAY_START_S = 1_789_948_800  # 2026-09-21 00:00 UTC, a Monday
WORN_FROM_H, WORN_TO_H = 6, 21
HOLE_FROM_H, HOLE_TO_H = 12, 14
DAYS_BEFORE = 13


@dataclass(frozen=True, slots=True)
class Wearer:
    id: str
    site: str
    sensor: str
    standing_tilt_deg: float
    flags: int

    @property
    def tags(self) -> str:
        return f"site={self.site},wearer={self.id},sensor={self.sensor}"


WEARERS = (
    Wearer("w-001", "home", "clip-1", 8.0, 3),
    Wearer("w-002", "clinic", "clip-2", 2.5, 1),
    Wearer("w-003", "clinic", "clip-3", 5.0, 0),
)
_BLOCKS = ("sitting", "standing", "walking", "sitting", "standing", "walking", "stairs", "standing", "lying", "unknown")
_TILT_DEG = {"sitting": -15.0, "lying": -6.0}


def received(minute_of_day: int) -> bool:
    """Whether anything arrived in this minute of the last day: worn hours without the hole."""
    hour = minute_of_day / 60
    return WORN_FROM_H <= hour < WORN_TO_H and not HOLE_FROM_H <= hour < HOLE_TO_H


def lines(seed: int = 1) -> list[str]:
    """All points; the last day ends at ``DAY_START_S + 86400``."""
    out: list[str] = []
    for wearer in WEARERS:
        rng = random.Random(f"{seed}{wearer.id}")
        for day in range(-DAYS_BEFORE, 1):
            start_s = DAY_START_S + day * 86_400
            for minute in range(24 * 60):
                if not received(minute):
                    continue
                posture, tilt_deg = _minute(wearer, minute, rng)
                t_ns = (start_s + minute * 60) * NS_PER_S
                out.append(_epoch(wearer, t_ns, posture, tilt_deg, rng))
                if day == 0:
                    out += _seconds(wearer, t_ns, posture, tilt_deg, rng)
                    out.append(_device(wearer, t_ns, minute))
            out += _events(wearer, start_s)
    return out


def _minute(wearer: Wearer, minute: int, rng: random.Random) -> tuple[str, float]:
    posture = "not_worn" if minute % 300 > 292 else _BLOCKS[minute // 13 % len(_BLOCKS)]
    upright_deg = wearer.standing_tilt_deg + 2 * math.sin(minute / 60)
    return posture, _TILT_DEG.get(posture, upright_deg) + rng.gauss(0, 0.8)


def _seconds(wearer: Wearer, t_ns: int, posture: str, tilt_deg: float, rng: random.Random) -> list[str]:
    worn = posture != "not_worn"
    out = []
    for s in range(60):
        tilt = (
            f"anterior_tilt_deg={tilt_deg + rng.gauss(0, 0.5):.3f},obliquity_deg=0.4,tilt_uncertainty_deg=2.1,"
            if worn
            else ""
        )
        out.append(
            f'tilt,{wearer.tags} {tilt}posture="{posture}",posture_confidence=0.93,coverage={0.99 if worn else 1.0},'
            f"quality={0.95 if worn else 0.2} {t_ns + s * NS_PER_S}"
        )
    return out


def _epoch(wearer: Wearer, t_ns: int, posture: str, tilt_deg: float, rng: random.Random) -> str:
    columns = [f"{p}_s={60 if p == posture else 0}i" for p in POSTURES]
    if posture in {"standing", "walking", "stairs"}:
        sd = 0.5 + rng.random()
        columns += [f"tilt_mean_deg={tilt_deg:.3f}", f"tilt_median_deg={tilt_deg:.3f}", f"tilt_sd_deg={sd:.3f}",
                    f"tilt_p5_deg={tilt_deg - 1.6 * sd:.3f}", f"tilt_p95_deg={tilt_deg + 1.6 * sd:.3f}",
                    f"dose_deg_min={max(0.0, tilt_deg - 5):.3f}"]  # fmt: skip
    columns += ["coverage=0.985", f"wear={0.0 if posture == 'not_worn' else 1.0}"]
    return f"epoch,{wearer.tags} {','.join(columns)} {t_ns}"


def _device(wearer: Wearer, t_ns: int, minute: int) -> str:
    return (
        f"device,{wearer.tags} battery_percent={95 - minute / 40:.1f},rssi_dbm={-60 - minute % 9}.0,rate_hz=99.9,"
        f'frames_received={minute * 600}i,frames_lost={minute // 50}i,frames_rejected={minute // 400}i,link="streaming" {t_ns}'
    )


def _events(wearer: Wearer, start_s: int) -> list[str]:
    out: list[str] = []

    def add(hour: float, event_type: str, summary: str, rule: str = "") -> None:
        t_ns = (start_s + round(hour * 3600)) * NS_PER_S
        rule_tag = f",rule={rule}" if rule else ""
        out.append(
            f'event,{wearer.tags},type={event_type}{rule_tag} event_id="{wearer.id}-{t_ns}-{event_type}",'
            f'summary="{summary}",data_json="{{}}" {t_ns}'
        )

    add(WORN_FROM_H, "wear_on", "The sensor is worn from here.")
    add(WORN_FROM_H + 0.1, "alignment", "Neutral pose taken over 5 s of quiet standing.")
    add(WORN_FROM_H + 0.2, "mount", "The sensor was put on again.")
    add(WORN_FROM_H + 0.3, "clock", "The sensor's clock was fitted anew.")
    for i in range(wearer.flags):
        hour = 8.0 + 3 * i
        add(hour - 0.2, "episode_start", "Tilt stayed above the limit for 2 min.", "sustained_tilt")
        add(hour, "flag", "Tilt was 3.1 deg above the limit for 10 min while standing.", "sustained_tilt")
        if i % 2 == 0:
            add(hour, "prompt", "Offered: glute set, both sides, 8 times.", "sustained_tilt")
        else:
            add(hour, "suppressed", "Kept quiet: the last prompt was less than 90 min ago.", "sustained_tilt")
        add(hour + 0.2, "episode_end", "Tilt came back below the limit.", "sustained_tilt")
    add(HOLE_TO_H, "gap", "No samples from 12:00 to 14:00.")
    add(WORN_TO_H, "wear_off", "The sensor is not worn from here.")
    return out
