"""Minutes and seconds of a synthetic day: what the pipeline would say of a clip that measured these angles.

The statistics of a minute are those of `processing/epochs.py`, computed for a whole day at once: quantiles of linear
interpolation over the values while upright or seated, seconds per posture, coverage and wear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processing.rules.base import EPOCH_S
from processing.types import F64, NS_PER_S, POSTURES, DeviceReport, Epoch, Metric
from sensor_gateway.cohort.days import LIE, MINUTE, NOT_WORN, NOTHING, PER_EPOCH, SIT, STAND, WALK, Day

UNCERTAINTY_DEG: Final = 2.1
UNCERTAINTY_SLIPPED_DEG: Final = 10.0
_SECONDS: Final = tuple(f"{p}_s" for p in POSTURES)
_QUANTILES: Final = (0.05, 0.5, 0.95)


def minutes(day: Day, doses: Mapping[int, float | None], rng: np.random.Generator) -> Iterator[Epoch]:
    """Minutes from the first to the last with data; those between without any are told as empty, as the pipeline does."""
    rows = len(day.posture) // MINUTE
    posture = day.posture[: rows * MINUTE].reshape(rows, MINUTE)
    got = (posture != NOTHING).sum(axis=1) * EPOCH_S
    if not got.any():
        return
    counts = [(posture == code).sum(axis=1) * EPOCH_S for code in range(len(POSTURES))]
    coverage = day.coverage[: rows * MINUTE].reshape(rows, MINUTE).mean(axis=1)
    tilt = day.tilt_deg[: rows * MINUTE].reshape(rows, -1).copy()
    tilt[np.repeat(posture == LIE, tilt.shape[1] // MINUTE, axis=1)] = np.nan
    n, statistics = _statistics(tilt)
    shifts = rng.poisson(0.55, rows).tolist()
    changed = _since_change(day)
    transfers = _transfers(day, rows).tolist()
    still = ((posture == SIT) | (posture == STAND)).any(axis=1).tolist()
    per_posture = list(zip(*(count.tolist() for count in counts), strict=True))
    found = list(zip(*(column.tolist() for column in statistics), strict=True))
    values, received, covered = n.tolist(), got.tolist(), coverage.tolist()
    first, last = (int(i) for i in np.flatnonzero(got)[[0, -1]])
    for i in range(first, last + 1):
        some = received[i]
        worn = some - per_posture[i][NOT_WORN]
        since = changed[(i + 1) * MINUTE - 1]
        mean, middle, low, high, sd = found[i] if values[i] else (None,) * 5
        yield Epoch(
            t_utc_ns=(day.first_k + i * MINUTE) * EPOCH_S * NS_PER_S,
            tilt_mean_deg=mean,
            tilt_median_deg=middle,
            tilt_p5_deg=low,
            tilt_p95_deg=high,
            tilt_sd_deg=sd,
            **dict(zip(_SECONDS, per_posture[i], strict=True)),
            dose_deg_min=doses.get(day.first_k // MINUTE + i),
            coverage=round(covered[i], 4),
            wear=worn / some if some else 0.0,
            shifts=shifts[i] if still[i] else None,
            transfers=transfers[i] if some else None,
            since_change_s=float(since) if some and since >= 0 else None,
        )


def nothing(after_ns: int, before_ns: int) -> Iterator[Epoch]:
    """The minutes between two with data, told as empty; at most a day of them, as in `processing/epochs.py`."""
    step = 60 * NS_PER_S
    for t_ns in range(after_ns + step, min(before_ns, after_ns + 1441 * step), step):
        yield Epoch(t_ns, None, None, None, None, None, 0, 0, 0, 0, 0, 0, 0, 0, None, 0.0, 0.0)


def _statistics(tilt: F64) -> tuple[F64, tuple[F64, ...]]:
    """Per row: how many values, then mean, median, 5th and 95th percentile, standard deviation of them."""
    n = (~np.isnan(tilt)).sum(axis=1)
    some = np.maximum(n, 1)
    ordered = np.sort(tilt, axis=1)  # NaN comes last
    row = np.arange(len(tilt))
    picked = []
    for q in _QUANTILES:
        at = q * (some - 1)
        low = at.astype(int)
        high = np.minimum(low + 1, some - 1)
        picked.append(ordered[row, low] + (ordered[row, high] - ordered[row, low]) * (at - low))
    mean = np.nansum(tilt, axis=1) / some
    sd = np.sqrt(np.nansum((tilt - mean[:, None]) ** 2, axis=1) / some)
    return n, (mean, picked[1], picked[0], picked[2], sd)


def _since_change(day: Day) -> list[int]:
    """Seconds at the end of each epoch since the posture changed; -1 before anything is known and in a hole."""
    found, run, before = [], -1, NOTHING
    for code in day.posture.tolist():
        if code == NOTHING:
            run = -1
        elif code != before:
            run = -1 if before == NOTHING else EPOCH_S
        elif run >= 0:
            run += EPOCH_S
        found.append(run)
        before = code
    return found


def _transfers(day: Day, rows: int) -> NDArray[np.int64]:
    """Changes between lying, sitting and upright per minute."""
    kind = np.select(
        [day.posture == LIE, day.posture == SIT, day.posture < 0, day.posture > WALK + 2], [0, 1, -1, -1], 2
    )
    change = (np.diff(kind, prepend=kind[:1]) != 0) & (kind >= 0) & (np.roll(kind, 1) >= 0)
    per_minute: NDArray[np.int64] = change[: rows * MINUTE].reshape(rows, MINUTE).sum(axis=1)
    return per_minute


def seconds(day: Day, rng: np.random.Generator, from_ns: int) -> Iterator[Metric]:
    """The day's seconds from ``from_ns`` on."""
    first_ns = day.first_k * EPOCH_S * NS_PER_S
    noise = rng.normal(0, 0.2, (len(day.posture), EPOCH_S))
    tilts = (np.repeat(day.tilt_deg, EPOCH_S // PER_EPOCH, axis=1) + noise).tolist()
    wobbles = (2 * noise + 0.4).tolist()
    for i in np.flatnonzero(day.received).tolist():
        code = int(day.posture[i])
        worn, off = code != NOT_WORN, day.slipped(i)
        wide = UNCERTAINTY_SLIPPED_DEG if off else UNCERTAINTY_DEG
        confidence, coverage = round(float(day.confidence[i]), 3), round(float(day.coverage[i]), 3)
        quality = 0.2 if not worn else 0.35 if off else round(0.96 * float(day.coverage[i]), 3)
        for s, (tilt, wobble) in enumerate(zip(tilts[i], wobbles[i], strict=True)):
            t_ns = first_ns + (i * EPOCH_S + s) * NS_PER_S
            if t_ns < from_ns:
                continue
            yield Metric(
                t_ns,
                round(tilt, 3) if worn else None,
                round(wobble, 3) if worn else None,
                wide if worn else None,
                POSTURES[code],
                confidence,
                coverage,
                quality,
            )


def device_reports(day: Day, charge: F64, counted: int, every: int, firmware: str) -> Iterator[DeviceReport]:
    """What the clip says of itself every ``every`` epochs; ``charge`` (n,) percent, ``counted`` frames before the day."""
    on = np.flatnonzero(day.received)
    lost = np.cumsum((1.0 - day.coverage) * day.received * EPOCH_S * 100)
    for j, i in enumerate(on.tolist()):
        frames = counted + j
        t_ns = (day.first_k + i) * EPOCH_S * NS_PER_S
        if j % every == 0:
            rssi = -58.0 - 14.0 * (1.0 - float(day.coverage[i])) - i % 7
            yield DeviceReport(
                t_ns, round(float(charge[i]), 1), rssi, 100.0, frames * 100, int(lost[i]), 0, "streaming", firmware
            )
    if day.flat_from is not None and len(on):
        t_ns = (day.first_k + int(on[-1]) + 1) * EPOCH_S * NS_PER_S
        yield DeviceReport(t_ns, 0.0, None, 100.0, (counted + len(on)) * 100, int(lost[-1]), 0, "lost", firmware)
