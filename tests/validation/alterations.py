"""What differs between sensors (and people: `people.py`), one thing at a time, put upon a recording: see `other_sensors.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from scipy.signal import butter, sosfilt, sosfilt_zi

from processing.types import F64, GRAVITY_MPS2
from tests.validation.people import paced, sits_as_stands
from tests.validation.takes import Rng, Take, later, resampled, rows

_DPS: Final = np.pi / 180.0
_G: Final = GRAVITY_MPS2


def turned(take: Take, rng: Rng) -> Take:
    """The clip put on in any direction whatever, the mount to be found."""
    q = rng.normal(size=4)
    w, x, y, z = q / np.sqrt((q**2).sum())
    r = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    truth = dict(take.truth)
    if "q_w" in truth:
        a, b, c, d = (truth[f"q_{n}"].astype(np.float64) for n in "wxyz")
        e, f, g, h = w, -x, -y, -z  # earth <- old sensor <- new sensor
        truth |= {
            "q_w": a * e - b * f - c * g - d * h, "q_x": a * f + b * e + c * h - d * g,
            "q_y": a * g - b * h + c * e + d * f, "q_z": a * h + b * g - c * f + d * e,
        }  # fmt: skip
    mount = take.mount if "q_w" in truth else "auto"
    return replace(take, acc=take.acc @ r.T, gyr=take.gyr @ r.T, truth=truth, mount=mount)


def noise(times: float) -> Callable[[Take, Rng], Take]:
    """White noise of so many times a usual chip's density (160 µg and 0.008 °/s per root hertz)."""

    def apply(take: Take, rng: Rng) -> Take:
        width = times * np.sqrt(0.45 * take.rate_hz)
        acc = take.acc + width * 160e-6 * _G * rng.standard_normal(take.acc.shape)
        return replace(take, acc=acc, gyr=take.gyr + width * 0.008 * _DPS * rng.standard_normal(take.gyr.shape))

    return apply


def digits(acc_g: float, gyr_dps: float, bits: int) -> Callable[[Take, Rng], Take]:
    """Cut to a range and rounded to so many bits."""

    def apply(take: Take, rng: Rng) -> Take:
        def cut(x: F64, limit: float) -> F64:
            step = limit / 2 ** (bits - 1)
            out: F64 = np.clip(np.rint(x / step) * step, -limit, limit - step)
            return out

        return replace(take, acc=cut(take.acc, acc_g * _G), gyr=cut(take.gyr, gyr_dps * _DPS))

    return apply


def _direction(rng: Rng) -> F64:
    v = rng.normal(size=3)
    out: F64 = v / np.sqrt((v * v).sum())
    return out


def gyro_bias(dps: float) -> Callable[[Take, Rng], Take]:
    return lambda take, rng: replace(take, gyr=take.gyr + dps * _DPS * _direction(rng))


def gyro_drift(take: Take, rng: Rng) -> Take:
    """A bias that wanders by ±0.5 °/s in five minutes, as after a change of temperature."""
    wave = 0.5 * _DPS * np.sin(2 * np.pi * (take.t_s / 300.0 + rng.uniform()))
    return replace(take, gyr=take.gyr + wave[:, None] * _direction(rng))


def acc_offset(mg: float) -> Callable[[Take, Rng], Take]:
    return lambda take, rng: replace(take, acc=take.acc + mg / 1000 * _G * _direction(rng))


def scales(acc: float, gyr: float) -> Callable[[Take, Rng], Take]:
    """Each axis's scale wrong by so much, one way or the other."""

    def apply(take: Take, rng: Rng) -> Take:
        a, g = (1.0 + e * rng.choice([-1.0, 1.0], 3) for e in (acc, gyr))
        return replace(take, acc=take.acc * a, gyr=take.gyr * g)

    return apply


def slow_chip(take: Take, rng: Rng) -> Take:
    """The chip's own low-pass at 20 Hz, with its delay."""
    if take.rate_hz <= 50.5:
        return take  # holds nothing above it
    sos = butter(2, 20.0, fs=take.rate_hz, output="sos")
    zi = sosfilt_zi(sos)[:, :, None]
    acc, gyr = (sosfilt(sos, x, axis=0, zi=zi * x[0])[0] for x in (take.acc, take.gyr))
    return replace(take, acc=acc, gyr=gyr)


def clock(share: float) -> Callable[[Take, Rng], Take]:
    """The sensor's second is longer by so much."""
    return lambda take, _: later(take, take.t_s * (1.0 + share), lambda t: t * (1.0 + share))


def begun(seconds: float) -> Callable[[Take, Rng], Take]:
    """The same with another zero of time."""
    return lambda take, _: later(take, take.t_s + seconds, lambda t: t + seconds)


def jitter(ms: float) -> Callable[[Take, Rng], Take]:
    """Each sample dated wrong by up to so much, in order all the same."""

    def apply(take: Take, rng: Rng) -> Take:
        t = np.sort(take.t_s + ms / 1000 * rng.uniform(0.0, 2.0, len(take.t_s)))
        return later(take, np.maximum.accumulate(t + 2e-6 * np.arange(len(t)) / len(t)), lambda x: x)

    return apply


def as_arrived(size: int) -> Callable[[Take, Rng], Take]:
    """Packets of ``size`` samples dated by when they came: all of one within a millisecond."""

    def apply(take: Take, _: Rng) -> Take:
        index = np.arange(len(take.t_s))
        last = np.minimum(index // size * size + size - 1, len(index) - 1)
        return later(take, take.t_s[last] + 1e-4 * (index % size), lambda t: t)

    return apply


def packets(size: int, share: float) -> Callable[[Take, Rng], Take]:
    """Packets of ``size`` samples, a share of which is lost."""

    def apply(take: Take, rng: Rng) -> Take:
        lost = rng.uniform(size=len(take.t_s) // size + 1) < share
        return rows(take, ~np.repeat(lost, size)[: len(take.t_s)])

    return apply


def bursts(seconds: float, share: float) -> Callable[[Take, Rng], Take]:
    return lambda take, rng: packets(max(1, round(seconds * take.rate_hz)), share)(take, rng)


def not_numbers(take: Take, rng: Rng) -> Take:
    """NaN for 60 ms to 0.4 s, some three times a minute."""
    gyr = take.gyr.copy()
    for start in np.flatnonzero(rng.uniform(size=len(gyr)) < 0.05 / take.rate_hz):
        gyr[start : start + max(1, int(rng.uniform(0.06, 0.4) * take.rate_hz))] = np.nan
    return replace(take, gyr=gyr)


def repeated(take: Take, rng: Rng) -> Take:
    """One packet of eight samples in twenty held: the chip's last value again instead of new ones."""
    index = np.arange(len(take.t_s))
    held = np.repeat(rng.uniform(size=len(index) // 8 + 1) < 0.05, 8)[: len(index)]
    source = np.maximum.accumulate(np.where(held, 0, index))
    return replace(take, acc=take.acc[source], gyr=take.gyr[source])


def spikes(take: Take, rng: Rng) -> Take:
    """One sample in a thousand is garbage within the range."""
    acc, gyr = take.acc.copy(), take.gyr.copy()
    at = rng.uniform(size=len(acc)) < 0.001
    acc[at] = rng.uniform(-16 * _G, 16 * _G, (int(at.sum()), 3))
    gyr[at] = rng.uniform(-2000 * _DPS, 2000 * _DPS, (int(at.sum()), 3))
    return replace(take, acc=acc, gyr=gyr)


def garbage_first(take: Take, rng: Rng) -> Take:
    """The first half second is zeros, then garbage, as of a chip that wakes."""
    acc, gyr = take.acc.copy(), take.gyr.copy()
    n = round(0.25 * take.rate_hz)
    acc[:n] = gyr[:n] = 0.0
    acc[n : 2 * n] = rng.uniform(-16 * _G, 16 * _G, (n, 3))
    gyr[n : 2 * n] = rng.uniform(-2000 * _DPS, 2000 * _DPS, (n, 3))
    return replace(take, acc=acc, gyr=gyr)


def _span(take: Take, lo: float, hi: float) -> Take:
    part = rows(take, (take.t_s >= lo) & (take.t_s < hi))
    if "contacts_s" in part.facts:
        inside = [c for c in part.facts["contacts_s"] if lo <= float(c[0]) < hi]
        part = replace(part, facts=part.facts | {"contacts_s": inside})
    return part


def in_motion(take: Take, rng: Rng) -> Take:
    """Begins in the middle of the motion: of a walk, of a stretch of movement, else after a third."""
    begin = float(take.t_s[0] + (take.t_s[-1] - take.t_s[0]) / 3)
    if "contacts_s" in take.facts:
        begin = float(take.facts["contacts_s"][3][0])
    elif "movement" in take.truth:
        begin = float(take.t_s[int(np.argmax(take.truth["movement"] > 0))]) + 5.0
    elif "walking" in take.truth:
        begin = float(take.t_s[int(np.argmax(take.truth["walking"] > 0))]) + 2.0
    elif "label" in take.truth:
        begin = float(take.t_s[int(np.argmax(take.truth["label"] == 1))]) + 2.0
    elif "walk_indip" in take.truth:
        begin = float(take.t_s[int(np.argmax(take.truth["walk_indip"] > 0))]) + 2.0
    return _span(take, begin, np.inf)


def lying_first(take: Take, rng: Rng) -> Take:
    """Begins lying, where there is lying."""
    if "label" not in take.truth:
        return take
    return _span(take, float(take.t_s[int(np.argmax(take.truth["label"] == 6))]) + 2.0, np.inf)


def short(take: Take, rng: Rng) -> Take:
    """18 s of it, from the first movement on."""
    begin = float(in_motion(take, rng).t_s[0]) - 2.0
    return _span(take, begin, begin + 18.0)


def as_found(take: Take, rng: Rng) -> Take:
    """Unaltered, mount and neutral pose to be found."""
    return replace(take, mount="auto" if "q_w" not in take.truth else take.mount)


def chained(*parts: Callable[[Take, Rng], Take]) -> Callable[[Take, Rng], Take]:
    def apply(take: Take, rng: Rng) -> Take:
        for part in parts:
            take = part(take, rng)
        return take

    return apply


UNALTERED: Final = "unaltered"
ALTERATIONS: Final[dict[str, Callable[[Take, Rng], Take]]] = {
    UNALTERED: lambda take, _: take,
    **{f"{hz:g}_hz": resampled(hz) for hz in (25.0, 50.0, 52.0, 60.0, 104.0, 120.0, 128.0, 200.0, 400.0)},
    "mount_auto": as_found,
    "any_direction": turned,
    "16_g_2000_dps_16_bit": digits(16.0, 2000.0, 16),
    "8_g_500_dps_16_bit": digits(8.0, 500.0, 16),
    "8_g_2000_dps_12_bit": digits(8.0, 2000.0, 12),
    "2_g_250_dps_16_bit": digits(2.0, 250.0, 16),
    "noise_x3": noise(3.0),
    "noise_x10": noise(10.0),
    "gyro_bias_1": gyro_bias(1.0),
    "gyro_bias_3": gyro_bias(3.0),
    "gyro_bias_5": gyro_bias(5.0),
    "gyro_drift": gyro_drift,
    "acc_scale_2": scales(0.02, 0.0),
    "gyro_scale_2": scales(0.0, 0.02),
    "acc_offset_30": acc_offset(30.0),
    "acc_offset_50": acc_offset(50.0),
    "slow_chip": slow_chip,
    "clock_1": clock(0.01),
    "zero_of_time": begun(1234.57),
    "jitter_5_ms": jitter(5.0),
    "lost_bursts_5": bursts(0.5, 0.05),
    "lost_bursts_10": bursts(0.5, 0.10),
    "lost_packets_5": packets(8, 0.05),
    "lost_packets_20": packets(8, 0.20),
    "bursts_as_arrived": as_arrived(10),
    "held_packets_5": repeated,
    "nan_runs": not_numbers,
    "spikes": spikes,
    "garbage_first": garbage_first,
    "in_motion": in_motion,
    "lying_first": lying_first,
    "short": short,
    "slower_1.3": paced(1.3),
    "slower_1.6": paced(1.6),
    "slower_2": paced(2.0),
    "faster_0.7": paced(0.7),
    "sits_as_stands": sits_as_stands,
    "cheap_52_hz": chained(resampled(52.0), turned, noise(2.0), gyro_bias(2.0), acc_offset(20.0), digits(8.0, 1000.0, 16), packets(6, 0.03)),
    "cheap_104_hz": chained(resampled(104.0), turned, noise(2.0), gyro_bias(2.0), acc_offset(20.0), digits(16.0, 2000.0, 16), clock(0.02)),
}  # fmt: skip
