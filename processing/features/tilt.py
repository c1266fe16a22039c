"""Tilt of each second, with its doubt: mean angles, coverage, uncertainty and quality.

Uncertainty (one standard deviation, degrees) adds in squares: the alignment's own; the filter's, which grows with movement
(0.4° still to about 1.5° walking, measured against truth); and the disagreement between the filter and plain gravity
where the pelvis is still enough for gravity alone to be right. Two independent estimates that differ lower the quality
before the tilt is wrong by much. The accelerometer's offset moves all angles, and the zero with them: what is left of it grows with the
angle from the neutral pose, as a chord does. After readings at the end of their range (`clipping.py`) the angle is doubted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.frames import DEG, columns
from processing.types import F64, GRAVITY_MPS2, I64, SecondBlock


@dataclass(frozen=True, slots=True)
class TiltParams:
    """See the module; angles [deg], accelerations [m/s²]."""

    filter_still_deg: float = 0.4
    filter_per_mps2_deg: float = 0.45  # times the standard deviation of |acc|: about 1.3° in walking
    filter_max_deg: float = 5.0
    still_mps2: float = 0.25  # below this spread gravity alone gives the inclination
    still_norm_mps2: float = 0.6
    disagreement_zero_deg: float = 6.0  # quality falls linearly to zero here
    unaligned_quality: float = 0.5
    clipped_deg: float = 10.0  # as without a neutral pose: a lost angle can be anything
    clipped_quality: float = 0.4


@dataclass(frozen=True, slots=True)
class SecondTilt:
    """Per second, each (m,): NaN where no valid row; coverage and quality 0..1; ``valid`` counts rows by how much of them was
    received, ``settling`` counts rows; ``acc_spread_mps2`` is the root mean square of the specific force about its mean.
    """

    anterior_tilt_deg: F64
    obliquity_deg: F64
    uncertainty_deg: F64
    coverage: F64
    quality: F64
    valid: I64 | F64
    settling: I64
    acc_spread_mps2: F64


def second_tilt(
    block: SecondBlock,
    alignment_uncertainty_deg: float,
    *,
    has_neutral: bool,
    params: TiltParams,
    acc_offset_sd_mps2: F64 | float = 0.0,
) -> SecondTilt:
    """Reduce each second of ``block`` on its own. ``acc_offset_sd_mps2`` (m,) or one: doubt of the accelerometer's offset."""
    first = block.start[:-1]
    count = block.count
    tilt, obliquity = block.anterior_tilt_deg, block.obliquity_deg
    rows, settling = count, np.zeros_like(count)
    if not block.valid.all():
        rows = np.add.reduceat(block.valid.astype(np.int64), first)
        settling = np.add.reduceat((~np.isnan(tilt) & ~block.valid).astype(np.int64), first)
        tilt, obliquity = np.where(block.valid, tilt, 0.0), np.where(block.valid, obliquity, 0.0)
    divisor = np.where(rows > 0, rows, np.nan)
    tilt, obliquity = np.add.reduceat(tilt, first) / divisor, np.add.reduceat(obliquity, first) / divisor
    valid = rows if block.share is None else np.add.reduceat(np.where(block.valid, block.share, 0.0), first)
    # A sensor clock a little slow gives 99 samples in a second of 100: that is full coverage.
    coverage = np.minimum(1.0, valid / max(1.0, np.floor(block.rate_hz * 0.98)))

    acc_p = columns(block.acc_p_mps2)
    acc = np.add.reduceat(acc_p, first, axis=1) / count
    up = np.add.reduceat(columns(block.up_p), first, axis=1) / count
    norm = np.sqrt(acc[0] * acc[0] + acc[1] * acc[1] + acc[2] * acc[2])
    squares = acc_p * acc_p
    square = squares[0]
    square += squares[1]
    square += squares[2]
    spread = np.sqrt(np.maximum(0.0, np.add.reduceat(square, first) / count - norm * norm))
    up_norm = np.sqrt(up[0] * up[0] + up[1] * up[1] + up[2] * up[2])
    cosine = (acc[0] * up[0] + acc[1] * up[1] + acc[2] * up[2]) / np.maximum(norm * up_norm, 1e-9)
    apart = np.arccos(np.clip(cosine, -1.0, 1.0)) * DEG
    still = (spread < params.still_mps2) & (np.abs(norm - GRAVITY_MPS2) < params.still_norm_mps2)
    disagreement = np.where(still, apart, 0.0)

    by_filter = np.minimum(params.filter_max_deg, params.filter_still_deg + params.filter_per_mps2_deg * spread)
    # Squared chord between "up" now and in the neutral pose, both unit vectors; without a pose the whole offset counts.
    chord_sq = 2.0 * (1.0 - up[1] / np.maximum(up_norm, 1e-9)) if has_neutral else 1.0
    by_offset_sq = (acc_offset_sd_mps2 * (DEG / GRAVITY_MPS2)) ** 2 * chord_sq
    uncertainty = np.sqrt(
        alignment_uncertainty_deg**2 + by_filter * by_filter + disagreement * disagreement + by_offset_sq
    )
    quality = np.maximum(0.0, 1.0 - disagreement / params.disagreement_zero_deg) * coverage
    quality = quality * (1.0 if has_neutral else params.unaligned_quality)
    if block.clipped is not None:
        uncertainty = np.where(block.clipped, np.hypot(uncertainty, params.clipped_deg), uncertainty)
        quality = np.where(block.clipped, np.minimum(quality, params.clipped_quality), quality)
    uncertainty = np.where(valid > 0, uncertainty, np.nan)
    return SecondTilt(tilt, obliquity, uncertainty, coverage, quality, valid, settling, spread)
