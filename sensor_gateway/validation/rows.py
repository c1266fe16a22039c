"""A result and its truth to rows of tallies: what is asked of each recording."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from processing.types import F64, Bool
from sensor_gateway.validation import chain, measures
from sensor_gateway.validation.tally import ON_FEET
from sensor_gateway.validation.truth import KIND_OF_LABEL, UNLABELLED, Truth, postures_by_second, runs

TILTLINE: Final = "tiltline"
WHOLE: Final = "all"


@dataclass(frozen=True, slots=True)
class Row:
    """The tally of one recording (``part`` "all") or of a part of it, by one estimator. ``detail`` holds arrays for figures."""

    set: str
    recording: str
    subject: str
    activity: str
    looked_at: bool
    estimator: str
    mode: str
    measure: str
    part: str
    tally: F64
    detail: dict[str, F64] = field(default_factory=dict)


def own_rows(truth: Truth, out: chain.Output, blank: Row) -> Iterator[Row]:
    """Everything the truth lets us ask of Tiltline's own result."""
    if truth.up_s is not None:
        yield from inclination_rows(truth, chain.on_truth(truth.t_s, out.t_ns, out.up_s), blank)
    if truth.tilt_deg is not None:
        tilt, side = (chain.on_truth(truth.t_s, out.t_ns, x) for x in (out.tilt_deg, out.obliquity_deg))
        yield from tilt_rows(truth, tilt, side, blank)
    if truth.label is not None:
        seconds = postures_by_second(truth.t_s, truth.label)
        yield replace(blank, measure="posture", tally=measures.posture(seconds, out.posture))
        yield replace(blank, measure="transfers", tally=transfer_tally(truth, out.transfers))
    if truth.contacts is not None and len(truth.contacts.t_s):
        yield step_row(truth, np.array([t for t, _ in out.steps]), [s for _, s in out.steps], blank)
        seconds_of = np.array(sorted(out.posture), dtype=np.int64)
        walked = np.array([out.posture[s] in ON_FEET for s in seconds_of.tolist()], dtype=np.bool_)
        yield replace(blank, measure="walking", tally=measures.walking(truth.contacts.t_s, seconds_of, walked))


def inclination_rows(truth: Truth, up: F64, blank: Row) -> Iterator[Row]:
    """``up`` (n, 3) in sensor axes at the truth's times; `Truth.up_s` must be known."""
    assert truth.up_s is not None
    error = measures.inclination_error_deg(up, truth.up_s)
    known = np.isfinite(truth.up_s).all(axis=1)
    for part, marked in _parts(truth, truth.moving):
        if (known & marked).any():
            yield replace(blank, measure="inclination", part=part, tally=measures.inclination(error, known & marked))


def _parts(truth: Truth, headline: Bool | None) -> Iterator[tuple[str, Bool]]:
    """What the headline counts, and the parts shown beside it."""
    every = np.ones(len(truth.t_s), dtype=np.bool_)
    yield WHOLE, every if headline is None else headline
    if headline is not None:
        yield "still", ~headline
    if truth.walking is not None:
        yield "walking", truth.walking
        yield "standing", ~truth.walking


def tilt_rows(truth: Truth, tilt: F64, side: F64, blank: Row) -> Iterator[Row]:
    """Tilt and obliquity [deg] (n,) at the truth's times; `Truth.tilt_deg` must be known."""
    assert truth.tilt_deg is not None
    error = tilt - truth.tilt_deg
    beside = side - truth.obliquity_deg if truth.obliquity_deg is not None else np.full(len(side), np.nan)
    known = np.isfinite(truth.tilt_deg)
    usual = (_mean(error[known]), _mean(beside[known]))
    for part, marked in _parts(truth, None):
        if not (known & marked).any():
            continue
        tally = measures.tilt(error, beside, known & marked, None if part == WHOLE else usual)
        detail = _agreement_pairs(truth, error) if part == WHOLE else {}
        yield replace(blank, measure="tilt", part=part, tally=tally, detail=detail)


def _mean(x: F64) -> float:
    have = x[np.isfinite(x)]
    return float(have.mean()) if len(have) else 0.0


def _agreement_pairs(truth: Truth, error: F64) -> dict[str, F64]:
    """Differences with both zeros at the neutral pose, as in use: a bias then means something. Without a pose it is 0 by choice."""
    assert truth.tilt_deg is not None
    zero = np.isfinite(error)
    if truth.neutral_s is not None:
        zero &= (truth.t_s >= truth.neutral_s[0]) & (truth.t_s < truth.neutral_s[1])
    if not zero.any():
        zero = np.isfinite(error)
    reference = truth.tilt_deg - _mean(truth.tilt_deg[zero])
    difference = error - _mean(error[zero])
    return {"t_s": truth.t_s, "mean_deg": reference + difference / 2, "difference_deg": difference}


def transfer_tally(
    truth: Truth, found: list[tuple[float, str]], kinds: Collection[str] = frozenset(KIND_OF_LABEL.values())
) -> F64:
    """Changes of posture of ``kinds``, those a method knows."""
    assert truth.label is not None
    label, t = truth.label, truth.t_s
    true = []
    for value, kind in KIND_OF_LABEL.items():
        if kind not in kinds:
            continue
        true += [(float(t[a] + t[b - 1]) / 2, kind) for a, b in runs(label == value)]
    asked = [(when, kind) for when, kind in found if kind in kinds]
    return measures.transfers(asked, true, [when for when, _ in asked if _labelled_about(truth, when)])


def _labelled_about(truth: Truth, when_s: float) -> bool:
    """Whether the video says what happened within the tolerance of a moment."""
    assert truth.label is not None
    reach = measures.TRANSFER_TOLERANCE_S
    lo, hi = np.searchsorted(truth.t_s, (when_s - reach, when_s + reach))
    return not (truth.label[lo:hi] == UNLABELLED).any()


def step_row(truth: Truth, found: F64, sides: list[str] | None, blank: Row) -> Row:
    """Steps [s], of which those outside the walks that the truth covers are not asked; `Truth.contacts` must be known."""
    contacts = truth.contacts
    assert contacts is not None
    if contacts.walks_s is not None and len(found):
        inside = np.array([any(a <= t <= b for a, b in contacts.walks_s) for t in found.tolist()])
        found, sides = found[inside], None if sides is None else [s for s, i in zip(sides, inside, strict=True) if i]
    result = measures.steps(found, contacts.t_s, None if sides is None else (sides, contacts.side))
    detail = {"left_s": result.left_s, "delay_s": np.array([result.delay_s])}
    return replace(blank, measure="steps", tally=result.tally, detail=detail)
