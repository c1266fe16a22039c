"""
The study: rules, thresholds, quiet hours and the wearer's programme, as one frozen value with one hash.

Defaults are design choices argued in `docs/evidence.md`, not evidence. The same study gives the same `study_hash` on
every machine; the hash stands on every flag.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

Side = Literal["left", "right", "both"]


@dataclass(frozen=True, slots=True)
class TiltRule:
    """The two tilt rules, `tilt_dose` and `sustained_tilt`. Angles relative to neutral [deg], times [s]."""

    therapist_limit_deg: Mapping[str, float] = field(default_factory=dict)  # posture -> limit; overrides the rest
    min_above_neutral_deg: float = 5.0  # never below what one re-donned clip can tell apart
    max_above_neutral_deg: float = 12.0  # caps the personal part: a chronic tilt must not become normal
    mad_factor: float = 2.5
    baseline_min_days: int = 5
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


@dataclass(frozen=True, slots=True)
class Assignment:
    """One exercise of the wearer's programme, with side and dose, as the therapist set it."""

    exercise: str
    side: Side = "both"
    sets: int = 1
    reps: int = 8
    hold_s: int = 5


@dataclass(frozen=True, slots=True)
class Study:
    """All that decides flags and prompts. `version` is the therapist's own label."""

    version: str = "default"
    timezone: str = "UTC"
    tilt: TiltRule = field(default_factory=TiltRule)
    prompt: PromptRule = field(default_factory=PromptRule)
    programme: tuple[Assignment, ...] = (
        Assignment("isometric_glute_set", "both", 1, 8, 5),
        Assignment("two_leg_bridge_abducted", "both", 1, 8, 3),
        Assignment("standing_posterior_tilt", "both", 1, 8, 5),
    )


def study_hash(study: Study) -> str:
    """First 16 hex digits of the SHA-256 of the study's canonical JSON."""
    text = json.dumps(asdict(study), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
