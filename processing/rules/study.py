"""The study: rules, thresholds, quiet hours and the wearer's programme, as one frozen value with one hash.

Defaults are design choices argued in `docs/evidence.md`, not evidence. The same study gives the same `study_hash` on
every machine; the hash stands on every flag. A value that cannot work is refused where the study is made, naming its
key, so that a bad file stops the start-up and not the first flag.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

Side = Literal["left", "right", "both"]

UPRIGHT: Final = ("standing", "walking", "running", "stairs")
"""The postures a tilt rule may be about: sitting is posterior by nature and can never raise one."""
STATIC: Final = ("sitting", "standing")
"""The postures one can stay in for too long; lying is rest."""
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def _require(holds: bool, key: str, value: object, remedy: str) -> None:
    if not holds:
        raise ValueError(f"study key '{key}' is {value!r}; use {remedy}")


def _shares(rule: object, table: str, *keys: str) -> None:
    for key in keys:
        value = getattr(rule, key)
        _require(0 <= value <= 1, f"{table}.{key}", value, "a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class TiltRule:
    """The two tilt rules, `tilt_dose` and `sustained_tilt`. Angles relative to neutral [deg], times [s]."""

    therapist_limit_deg: Mapping[str, float] = field(default_factory=dict)  # posture -> limit; overrides the rest
    min_above_neutral_deg: float = 5.0  # never below what one re-donned clip can tell apart
    max_above_neutral_deg: float = 12.0  # caps the personal part: a chronic tilt must not become normal
    mad_factor: float = 2.5
    baseline_min_days: int = 5
    baseline_max_days: int = 28  # four weeks hold work days and weekends; older days are forgotten
    baseline_min_minutes: float = 20.0
    hysteresis_deg: float = 2.0
    on_s: int = 120
    off_s: int = 30
    max_ineligible_s: int = 300
    sustained_s: int = 600
    dose_deg_min: float = 60.0
    dose_rearm_deg_min: float = 30.0
    dose_tau_s: float = 3600.0
    min_coverage: float = 0.8
    min_confidence: float = 0.7
    max_obliquity_deg: float = 30.0
    postures: tuple[str, ...] = ("standing", "walking")
    watermark_s: int = 120

    def __post_init__(self) -> None:
        for key in ("on_s", "off_s", "max_ineligible_s", "sustained_s", "dose_deg_min", "max_obliquity_deg"):
            _require(getattr(self, key) > 0, f"tilt.{key}", getattr(self, key), "a number above 0")
        for key in ("min_above_neutral_deg", "mad_factor", "baseline_min_minutes", "hysteresis_deg", "watermark_s"):
            _require(getattr(self, key) >= 0, f"tilt.{key}", getattr(self, key), "0 or more")
        _shares(self, "tilt", "min_coverage", "min_confidence")
        _require(self.dose_tau_s >= 10, "tilt.dose_tau_s", self.dose_tau_s, "10 s or more")
        _require(
            self.max_above_neutral_deg >= self.min_above_neutral_deg,
            "tilt.max_above_neutral_deg",
            self.max_above_neutral_deg,
            "no less than tilt.min_above_neutral_deg",
        )
        _require(
            0 <= self.dose_rearm_deg_min < self.dose_deg_min,
            "tilt.dose_rearm_deg_min",
            self.dose_rearm_deg_min,
            "a value below tilt.dose_deg_min",
        )
        _require(self.baseline_min_days >= 1, "tilt.baseline_min_days", self.baseline_min_days, "1 or more")
        _require(
            self.baseline_max_days >= self.baseline_min_days,
            "tilt.baseline_max_days",
            self.baseline_max_days,
            "no fewer than tilt.baseline_min_days",
        )
        for key, names in (("postures", self.postures), ("therapist_limit_deg", self.therapist_limit_deg)):
            for name in names:
                _require(name in UPRIGHT, f"tilt.{key}", name, f"one of {', '.join(UPRIGHT)}")
        for name, limit in self.therapist_limit_deg.items():
            _require(-90 < limit < 90, f"tilt.therapist_limit_deg.{name}", limit, "an angle between -90 and 90")


@dataclass(frozen=True, slots=True)
class StaticRule:
    """`static_posture`: sitting or standing on and on. Judged by posture alone, whatever the tilt; times [s]."""

    enabled: bool = True
    after_s: int = 1800  # unchanged this long is a flag, and again after as long once more
    max_unknown_s: int = 300  # not measured this long: nobody knows whether the wearer moved
    postures: tuple[str, ...] = ("sitting", "standing")

    def __post_init__(self) -> None:
        _require(60 <= self.after_s <= 14_400, "static_posture.after_s", self.after_s, "60 to 14400 seconds")
        _require(self.max_unknown_s > 0, "static_posture.max_unknown_s", self.max_unknown_s, "a number above 0")
        for name in self.postures:
            _require(name in STATIC, "static_posture.postures", name, f"one of {', '.join(STATIC)}")


@dataclass(frozen=True, slots=True)
class AsymmetryRule:
    """`asymmetry`: left and right differ in walking, day after day. A hint for the therapist; never prompts."""

    enabled: bool = True
    min_difference_deg: float = 2.0
    mad_factor: float = 2.5
    min_strides: int = 100  # a day with fewer says nothing
    days_over: int = 2
    days_window: int = 3
    baseline_min_days: int = 5
    baseline_max_days: int = 28

    def __post_init__(self) -> None:
        for key in ("min_difference_deg", "mad_factor"):
            _require(getattr(self, key) >= 0, f"asymmetry.{key}", getattr(self, key), "0 or more")
        for key in ("min_strides", "days_over", "baseline_min_days"):
            _require(getattr(self, key) >= 1, f"asymmetry.{key}", getattr(self, key), "1 or more")
        _require(
            self.days_over <= self.days_window <= 14,
            "asymmetry.days_window",
            self.days_window,
            "asymmetry.days_over or more, at most 14",
        )
        _require(
            self.baseline_max_days >= self.baseline_min_days,
            "asymmetry.baseline_max_days",
            self.baseline_max_days,
            "no fewer than asymmetry.baseline_min_days",
        )


@dataclass(frozen=True, slots=True)
class PromptRule:
    """When a flag may become a prompt. Local times use `Study.timezone`; the refractory time runs in UTC."""

    mode: Literal["training", "tracking"] = "training"  # tracking: flags are recorded, nothing prompts
    min_known: float = 0.6  # share of known epochs in the last hour
    refractory_s: int = 5400
    budget_per_day: int = 4
    quiet_from: str = "22:00"
    quiet_to: str = "07:00"
    settle_s: int = 30  # wait until the wearer has stood or sat this long
    expire_s: int = 900
    snooze_s: int = 900  # offered again this long after the answer "snooze"

    def __post_init__(self) -> None:
        _require(self.mode in {"training", "tracking"}, "prompt.mode", self.mode, "'training' or 'tracking'")
        for key in ("refractory_s", "budget_per_day", "settle_s", "snooze_s"):
            _require(getattr(self, key) >= 0, f"prompt.{key}", getattr(self, key), "0 or more")
        _require(self.expire_s > self.settle_s, "prompt.expire_s", self.expire_s, "more than prompt.settle_s")
        _shares(self, "prompt", "min_known")
        for key in ("quiet_from", "quiet_to"):
            value = getattr(self, key)
            _require(_CLOCK.fullmatch(value) is not None, f"prompt.{key}", value, "HH:MM, e.g. '22:00'")


@dataclass(frozen=True, slots=True)
class Trial:
    """Prompts left out by lot, so that what follows a prompt has a fair control within the person.

    A micro-randomised trial in its plainest form (Klasnja et al. 2015, doi:10.1037/hea0000305): each flag that could prompt
    now is drawn once, with the same chance. The draw follows from seed and flag id alone, so a replay repeats it.
    """

    withhold_share: float = 0.0  # 0: no trial
    randomisation_seed: int = 0

    def __post_init__(self) -> None:
        _require(
            0 <= self.withhold_share < 1, "trial.withhold_share", self.withhold_share, "0 (no trial) up to below 1"
        )

    def withholds(self, flag_id: str) -> bool:
        """Whether the lot leaves this flag's prompt out."""
        drawn = hashlib.sha256(f"{self.randomisation_seed}:{flag_id}".encode()).digest()[:8]
        return int.from_bytes(drawn, "big") < self.withhold_share * 2**64


@dataclass(frozen=True, slots=True)
class Assignment:
    """One exercise of the wearer's programme, with side and dose, as the therapist set it."""

    exercise: str
    side: Side = "both"
    sets: int = 1
    reps: int = 8
    hold_s: int = 5

    def __post_init__(self) -> None:
        _require(self.side in {"left", "right", "both"}, "programme.side", self.side, "'left', 'right' or 'both'")
        for key, least in (("sets", 1), ("reps", 1), ("hold_s", 0)):
            value = getattr(self, key)
            _require(value >= least, f"programme.{key} of {self.exercise}", value, f"{least} or more")


@dataclass(frozen=True, slots=True)
class Study:
    """All that decides flags and prompts. `version` is the therapist's own label."""

    version: str = "default"
    timezone: str = "UTC"
    tilt: TiltRule = field(default_factory=TiltRule)
    static_posture: StaticRule = field(default_factory=StaticRule)
    asymmetry: AsymmetryRule = field(default_factory=AsymmetryRule)
    prompt: PromptRule = field(default_factory=PromptRule)
    trial: Trial = field(default_factory=Trial)
    programme: tuple[Assignment, ...] = (
        Assignment("isometric_glute_set", "both", 1, 8, 5),
        Assignment("two_leg_bridge_abducted", "both", 1, 8, 3),
        Assignment("standing_posterior_tilt", "both", 1, 8, 5),
    )

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            _require(False, "timezone", self.timezone, "a name such as 'Europe/Berlin'")


def study_hash(study: Study) -> str:
    """First 16 hex digits of the SHA-256 of the study's canonical JSON."""
    text = json.dumps(study, default=_named, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _named(part: Any) -> dict[str, Any]:
    """A dataclass as its fields; `asdict` would copy all that is in them first."""
    return {f.name: getattr(part, f.name) for f in fields(part)}
