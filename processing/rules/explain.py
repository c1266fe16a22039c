"""The ``data`` of the rules' events: plain JSON from which a flag can be recomputed, and a sentence for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processing.rules.base import EPOCH_NS, EPOCH_S, RULE_VERSION, Limits
from processing.rules.baseline import Baselines, ClosedDay
from processing.rules.dose import UDEG_MIN
from processing.rules.reading import Reading
from processing.rules.trace import Traced, columns, starting_point
from processing.types import Json


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose rules, of which version: stands on every event."""

    sensor: str
    study_version: str
    study_hash: str

    def of(self, rule: str | None) -> dict[str, Json]:
        """The fields that name a rule (None: no rule is behind it) and its configuration."""
        named: dict[str, Json] = {} if rule is None else {"rule": rule, "rule_version": RULE_VERSION[rule]}
        return named | {
            "sensor": self.sensor,
            "study_version": self.study_version,
            "study_hash": self.study_hash,
        }


def window(first_k: int, last_k: int) -> dict[str, Json]:
    """From the start of the first to the end of the last epoch, UTC nanoseconds."""
    return {"start_utc_ns": first_k * EPOCH_NS, "end_utc_ns": (last_k + 1) * EPOCH_NS}


def thresholds(baselines: Baselines) -> dict[str, Json]:
    """Thresholds in force, where each came from, and the version of the wearer's baseline (null: none yet)."""
    return {
        "thresholds": {posture: found.as_json() for posture, found in baselines.thresholds.items()},
        "baseline_version": baselines.version,
    }


def evidence(limits: Limits, epochs: Sequence[Traced], reading: Reading) -> dict[str, Json]:
    """Inputs of a flag: limits, starting point, the eligible epochs since, and how good they were."""
    coverage = [t.coverage_permille for t in epochs]
    return {
        "posture": epochs[-1].posture,
        "tilt_deg": reading.tilt_mdeg / 1000,
        "threshold_deg": reading.threshold_mdeg / 1000,
        "quality": {
            "eligible_epochs": len(epochs),
            "least_coverage_permille": min(coverage),
            "mean_coverage_permille": sum(coverage) // len(coverage),
            "least_confidence_permille": min(t.confidence_permille for t in epochs),
        },
        "limits": limits.as_json(),
        "before": starting_point(epochs[0]),
        "epochs": columns(epochs),
    }


def dose_value(limits: Limits, udeg_min: int) -> dict[str, Json]:
    """The dose that raised a `tilt_dose` flag, exact and readable."""
    limit = limits.dose_on_udeg_min / UDEG_MIN
    return {
        "dose_udeg_min": udeg_min,
        "value": udeg_min / UDEG_MIN,
        "limit": limit,
        "unit": "deg*min",
        "text": f"Forward tilt beyond your limit has added up to {limit:g} degree-minutes while you were up.",
    }


def sustained_value(limits: Limits, active_s: int, reading: Reading) -> dict[str, Json]:
    """The time that raised a `sustained_tilt` flag."""
    minutes, threshold = limits.sustained_s / 60, reading.threshold_mdeg / 1000
    return {
        "value": active_s,
        "limit": limits.sustained_s,
        "unit": "s",
        "text": f"The top of your pelvis has been forward of your limit ({threshold:.1f}°) for {minutes:g} minutes.",
    }


def baseline_report(closed: ClosedDay, baselines: Baselines, alignment_id: str) -> dict[str, Json]:
    """How far the wearer's habit lies from neutral [deg], for the therapist: what was frozen when a day ended.

    The baseline's own way from neutral stands here, because flags alone would not show a habit that drifts slowly.
    """
    postures: dict[str, Json] = {}
    for posture, found in baselines.thresholds.items():
        postures[posture] = {
            "median_deg": _deg(found.median_mdeg),
            "mad_deg": _deg(found.mad_mdeg),
            "days": found.days,
            "threshold_deg": found.on_mdeg / 1000,
            "source": found.source,
            "since_first_deg": _deg(closed.moved_mdeg.get(posture)),
            "day_median_deg": _deg(closed.medians_mdeg.get(posture)),
            "day_eligible_s": closed.epochs.get(posture, 0) * EPOCH_S,
        }
    habits = [
        f"{p} {degrees(t.median_mdeg / 1000)}" for p, t in baselines.thresholds.items() if t.median_mdeg is not None
    ]
    usual = f"Usual tilt from neutral: {', '.join(habits)}." if habits else "Not enough days yet for a usual tilt."
    return {
        "day": closed.day,
        "baseline_version": baselines.version,
        "alignment_id": alignment_id,
        "postures": postures,
        "text": usual,
    }


def degrees(value: float) -> str:
    """A signed angle as people read it, rounded to a tenth; a true minus sign, and no sign on a zero."""
    text = f"{value:+.1f}".replace("-", "−")
    return ("0.0" if text in ("+0.0", "−0.0") else text) + "°"


def _deg(mdeg: int | None) -> float | None:
    return None if mdeg is None else mdeg / 1000


def suppression(flag_id: str, reasons: Sequence[str], texts: Mapping[str, str]) -> dict[str, Json]:
    """Why a flag led to no prompt: the first reason in the order of the checks, and all that held."""
    return {
        "flag_event_id": flag_id,
        "reason": reasons[0],
        "reasons": list(reasons),
        "text": texts[reasons[0]],
    }
