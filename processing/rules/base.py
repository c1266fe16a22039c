"""What the rules share: the 10 s grid, the study's limits as integers, event ids and local days.

Decisions are integer arithmetic, so that the same epochs give the same bytes on every machine: angles in millidegrees,
the dose in micro degree-minutes, its leak as a fixed-point factor of 2^-40.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from processing.rules.study import PromptRule, TiltRule
from processing.types import NS_PER_S, Json, RuleEpoch

EPOCH_S: Final = 10
EPOCH_NS: Final = EPOCH_S * NS_PER_S
LEAK_BITS: Final = 40
KNOWN_PERMILLE: Final = 500
"""From this coverage on, an epoch with a posture counts as known: enough to say what the wearer did, not how tilted."""
HOUR_EPOCHS: Final = 360
RULE_VERSION: Final[Mapping[str, int]] = {"tilt_dose": 1, "sustained_tilt": 1, "static_posture": 1, "asymmetry": 1}
MAD_TO_SD_PPM: Final = 1_482_600
"""The median absolute deviation times 1.4826 estimates a normal spread's standard deviation; in parts per million."""


def epochs_in(seconds: float) -> int:
    """Epochs needed to hold ``seconds``, rounded up."""
    return -int(-seconds // EPOCH_S)


def event_id(sensor: str, kind: str, t_utc_ns: int, config: str) -> str:
    """16 hex digits that the same sensor, kind of event, instant and configuration always give again."""
    return hashlib.sha256(f"{sensor}|{kind}|{t_utc_ns}|{config}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Limits:
    """`TiltRule` in integers: millidegrees, permille, seconds, epochs, micro degree-minutes."""

    therapist_mdeg: Mapping[str, int]
    floor_mdeg: int
    cap_mdeg: int
    mad_ppm: int
    baseline_min_days: int
    baseline_max_days: int
    baseline_min_epochs: int
    hysteresis_mdeg: int
    on_s: int
    off_s: int
    max_ineligible_s: int
    sustained_s: int
    dose_on_udeg_min: int
    dose_rearm_udeg_min: int
    leak: int
    coverage_permille: int
    confidence_permille: int
    obliquity_mdeg: int
    postures: tuple[str, ...]
    watermark_epochs: int

    @classmethod
    def of(cls, rule: TiltRule) -> Limits:
        """Round a study's tilt rule to the grid the machine works on."""
        return cls(
            therapist_mdeg={posture: _milli(limit) for posture, limit in rule.therapist_limit_deg.items()},
            floor_mdeg=_milli(rule.min_above_neutral_deg),
            cap_mdeg=_milli(rule.max_above_neutral_deg),
            mad_ppm=round(rule.mad_factor * MAD_TO_SD_PPM),
            baseline_min_days=rule.baseline_min_days,
            baseline_max_days=rule.baseline_max_days,
            baseline_min_epochs=epochs_in(rule.baseline_min_minutes * 60),
            hysteresis_mdeg=_milli(rule.hysteresis_deg),
            on_s=rule.on_s,
            off_s=rule.off_s,
            max_ineligible_s=rule.max_ineligible_s,
            sustained_s=rule.sustained_s,
            dose_on_udeg_min=round(rule.dose_deg_min * 1_000_000),
            dose_rearm_udeg_min=round(rule.dose_rearm_deg_min * 1_000_000),
            leak=_leak(rule.dose_tau_s),
            coverage_permille=_milli(rule.min_coverage),
            confidence_permille=_milli(rule.min_confidence),
            obliquity_mdeg=_milli(rule.max_obliquity_deg),
            postures=tuple(rule.postures),
            watermark_epochs=epochs_in(rule.watermark_s),
        )

    def as_json(self) -> dict[str, Json]:
        """The same numbers as plain JSON, for a flag that must be recomputable on its own."""
        plain: dict[str, Json] = asdict(self)
        return plain | {"postures": list(self.postures)}


@cache
def _leak(dose_tau_s: float) -> int:
    """What a dose keeps over an epoch. In decimal, because a libm's exp may differ in its last bit between machines."""
    with localcontext() as context:
        context.prec = 40
        return int((Decimal(2) ** LEAK_BITS * (-EPOCH_S / Decimal(str(dose_tau_s))).exp()).to_integral_value())


def _milli(value: float) -> int:
    return round(value * 1000)


def is_known(epoch: RuleEpoch) -> bool:
    """Whether enough was received, with a posture, to say how the wearer spent these ten seconds."""
    return epoch.coverage_permille >= KNOWN_PERMILLE and epoch.posture != "unknown"


class LocalClock:
    """UTC epochs to the wearer's days and hours. Days have 23 or 25 hours where daylight saving changes."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)

    def at(self, t_utc_s: int) -> datetime:
        """Local wall time of a UTC second."""
        return datetime.fromtimestamp(t_utc_s, self._zone)

    def day(self, k: int) -> str:
        """Local date (YYYY-MM-DD) on which epoch k starts."""
        return self.at(k * EPOCH_S).date().isoformat()

    def day_end(self, k: int) -> int:
        """First epoch of the local day after the one in which epoch k starts."""
        return self.day_start(self.at(k * EPOCH_S).date() + timedelta(days=1))

    def day_start(self, day: date) -> int:
        """First epoch of a local day."""
        # A midnight that the clock skips is the instant of the change; of a repeated one this is the first.
        midnight = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        return epochs_in(int(midnight.timestamp()))

    def is_quiet(self, k: int, rule: PromptRule) -> bool:
        """Whether epoch k starts in the quiet hours [from, to); equal ends mean there are none."""
        now, begin, end = self.at(k * EPOCH_S).strftime("%H:%M"), rule.quiet_from, rule.quiet_to
        return begin <= now < end if begin <= end else now >= begin or now < end
