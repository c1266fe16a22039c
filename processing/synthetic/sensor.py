"""A cheap MEMS sensor around the truth: mount, offset, scale, noise, bias drift, range and quantisation.

Numbers are those of a BMI270 at 100 Hz (data sheet: 160 µg/√Hz, 0.008 °/s/√Hz, ±20 mg, ±0.5 °/s typical). Noise is a function
of the absolute sample index (a counter-based generator, one counter per 1024 samples), so any cutting into blocks and any
restart gives the same samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from processing.alignment.static import parse_mount
from processing.frames import Rows, rotate
from processing.types import F64, GRAVITY_MPS2, I64, NS_PER_S

_NOISE_ROWS: Final = 1024
_RAD: Final = math.pi / 180.0
_Three = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SensorModel:
    """Pelvis to measured. ``r_sp`` turns pelvis axes into sensor axes; errors are per sensor axis, in SI units.

    ``acc_lsb_mps2``, ``gyr_lsb_rps`` 0 leaves values unquantised; readings beyond the ranges are clipped.
    """

    seed: int
    r_sp: Rows
    acc_offset_mps2: _Three = (0.0, 0.0, 0.0)
    acc_gain: _Three = (1.0, 1.0, 1.0)
    acc_noise_mps2: float = 0.0
    gyr_bias_rps: _Three = (0.0, 0.0, 0.0)
    gyr_drift_rps: _Three = (0.0, 0.0, 0.0)  # amplitude of a slow wave, as a warming and cooling chip shows
    gyr_drift_period_s: float = 5400.0
    gyr_noise_rps: float = 0.0
    acc_range_mps2: float = 16.0 * GRAVITY_MPS2
    gyr_range_rps: float = 2000.0 * _RAD
    acc_lsb_mps2: float = 0.0
    gyr_lsb_rps: float = 0.0

    def measure(self, t_utc_ns: I64, first: int, acc_p_mps2: F64, gyr_p_rps: F64) -> tuple[F64, F64]:
        """What the sensor reports, (n, 3) each, in sensor axes, for the samples ``first`` … ``first + n - 1`` of its life
        (the index fixes the noise) at times (n,).
        """
        acc, gyr = rotate(self.r_sp, acc_p_mps2), rotate(self.r_sp, gyr_p_rps)
        # The drift's phase is reduced in integers: the sine of seconds since 1970 would lose digits.
        period_ns = round(self.gyr_drift_period_s * NS_PER_S)
        wave = np.sin((t_utc_ns % period_ns) * (2.0 * math.pi / period_ns))
        noise = self._noise(first, len(acc)) if self.acc_noise_mps2 or self.gyr_noise_rps else None
        for i in range(3):
            acc[:, i] = acc[:, i] * self.acc_gain[i] + self.acc_offset_mps2[i]
            gyr[:, i] += self.gyr_bias_rps[i] + self.gyr_drift_rps[i] * wave
        if noise is not None:
            acc += self.acc_noise_mps2 * noise[:, :3]
            gyr += self.gyr_noise_rps * noise[:, 3:]
        return (
            _converted(acc, self.acc_range_mps2, self.acc_lsb_mps2),
            _converted(gyr, self.gyr_range_rps, self.gyr_lsb_rps),
        )

    def _noise(self, first: int, count: int) -> F64:
        out = np.empty((count, 6))
        for block in range(first // _NOISE_ROWS, (first + count - 1) // _NOISE_ROWS + 1):
            drawn = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, block, 0]))
            rows = drawn.standard_normal((_NOISE_ROWS, 6), dtype=np.float32)
            lo, hi = max(first, block * _NOISE_ROWS), min(first + count, (block + 1) * _NOISE_ROWS)
            out[lo - first : hi - first] = rows[lo - block * _NOISE_ROWS : hi - block * _NOISE_ROWS]
        return out


def _converted(x: F64, limit: float, lsb: float) -> F64:
    np.clip(x, -limit, limit, out=x)
    if lsb:
        x /= lsb
        np.rint(x, out=x)
        x *= lsb
    return x


def mount_rows(mount: str, pitch_deg: float = 0.0, roll_deg: float = 0.0, yaw_deg: float = 0.0) -> Rows:
    """Pelvis axes to sensor axes of a clip that sits as ``mount`` says ("up=+x,anterior=-z"), turned about the pelvis's
    lateral, anterior and vertical axes by so many degrees.
    """
    axes = parse_mount(mount)
    x, y = np.array(axes.anterior), np.array(axes.up)
    nominal = np.stack((x, y, np.cross(x, y)), axis=1)  # columns: pelvis axes seen from the sensor
    turn = np.eye(3)
    for axis, degrees in ((1, yaw_deg), (0, roll_deg), (2, pitch_deg)):
        c, s = math.cos(degrees * _RAD), math.sin(degrees * _RAD)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        one = np.eye(3)
        one[i, i], one[i, j], one[j, i], one[j, j] = c, -s, s, c
        turn = turn @ one
    rows = (nominal @ turn).tolist()
    return (tuple(rows[0]), tuple(rows[1]), tuple(rows[2]))


def bmi270(seed: int, mount: str = "up=+x,anterior=-z", misplaced_deg: float = 6.0) -> SensorModel:
    """One BMI270 out of a reel, clipped on by eye: offset, gain, bias and misplacement are drawn from the seed.

    ``misplaced_deg`` is the standard deviation of pitch; roll and yaw get half of it. Quantised as at ±16 g, ±2000 °/s.
    """
    rng = np.random.Generator(np.random.PCG64([seed, 0x270]))

    def three(scale: float, around: float = 0.0) -> _Three:
        a, b, c = (around + scale * rng.standard_normal(3)).tolist()
        return (a, b, c)

    pitch, roll, yaw = (misplaced_deg * rng.standard_normal(3) * (1.0, 0.5, 0.5)).tolist()
    bandwidth_hz = 45.0
    return SensorModel(
        seed=seed,
        r_sp=mount_rows(mount, pitch, roll, yaw),
        acc_offset_mps2=three(0.010 * GRAVITY_MPS2),
        acc_gain=three(0.002, 1.0),
        acc_noise_mps2=160e-6 * GRAVITY_MPS2 * math.sqrt(bandwidth_hz),
        gyr_bias_rps=three(0.25 * _RAD),
        gyr_drift_rps=three(0.03 * _RAD),
        gyr_noise_rps=0.008 * _RAD * math.sqrt(bandwidth_hz),
        acc_lsb_mps2=16.0 * GRAVITY_MPS2 / 32768.0,
        gyr_lsb_rps=2000.0 * _RAD / 32768.0,
    )
