"""A pelvis that lies, sits, stands, rises and walks, as `SecondBlock`s: scripted, with the physics context relies on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from processing.types import F64, GRAVITY_MPS2, SecondBlock

T0_S = 1_790_000_000


@dataclass
class Body:
    """Builds sagittal pitch [deg] and height [m] sample by sample; `block` turns them into what the sensor would say."""

    rate_hz: float = 100.0
    seed: int = 1
    gyr_noise_dps: float = 0.1
    acc_noise_mps2: float = 0.02
    acc_offset_mps2: tuple[float, float, float] = (0.0, 0.0, 0.0)
    breathing_deg: float = 0.15
    pitch_deg: list[F64] = field(default_factory=list)
    height_m: list[F64] = field(default_factory=list)
    worn: list[F64] = field(default_factory=list)
    _pitch: float = 0.0
    _height: float = 0.9

    def _n(self, seconds: float) -> int:
        return round(seconds * self.rate_hz)

    def _add(self, pitch: F64, height: F64, worn: float = 1.0) -> Body:
        self.pitch_deg.append(pitch)
        self.height_m.append(height)
        self.worn.append(np.full(len(pitch), worn))
        self._pitch, self._height = float(pitch[-1]), float(height[-1])
        return self

    def rest(self, seconds: float, *, worn: bool = True) -> Body:
        n = self._n(seconds)
        return self._add(np.full(n, self._pitch), np.full(n, self._height), float(worn))

    def move(self, seconds: float, *, to_pitch_deg: float, rise_m: float, lean_deg: float = 0.0) -> Body:
        """A smooth (minimum-jerk) movement, leaning ``lean_deg`` further in its middle."""
        x = (np.arange(self._n(seconds)) + 1) / self._n(seconds)
        s = x**3 * (10 - 15 * x + 6 * x * x)
        lean = lean_deg * np.sin(np.pi * x) ** 2
        return self._add(self._pitch + (to_pitch_deg - self._pitch) * s + lean, self._height + rise_m * s)

    def sit_down(self, tilt_deg: float = -18.0, seconds: float = 2.5, drop_m: float = 0.38) -> Body:
        return self.move(seconds, to_pitch_deg=tilt_deg, rise_m=-drop_m, lean_deg=25.0)

    def stand_up(self, seconds: float = 2.2, rise_m: float = 0.38, to_pitch_deg: float = 0.0) -> Body:
        return self.move(seconds, to_pitch_deg=to_pitch_deg, rise_m=rise_m, lean_deg=25.0)

    def lie_down(self, seconds: float = 4.0, drop_m: float = 0.45) -> Body:
        return self.move(seconds, to_pitch_deg=-88.0, rise_m=-drop_m)

    def walk(self, seconds: float, *, cadence_hz: float = 1.8, amplitude_m: float = 0.022) -> Body:
        t = np.arange(self._n(seconds)) / self.rate_hz
        ramp = np.minimum(1.0, np.minimum(t, t[-1] - t) / 0.4)
        bounce = amplitude_m * np.cos(2 * np.pi * cadence_hz * t) * ramp
        sway = 3.0 * np.sin(np.pi * cadence_hz * t) * ramp + 1.5 * np.sin(2 * np.pi * cadence_hz * t + 0.7) * ramp
        base_pitch, base_height = self._pitch, self._height
        self._add(base_pitch + sway * 1.5, base_height + bounce)
        self._pitch, self._height = base_pitch, base_height
        return self

    def block(self, keep: F64 | None = None) -> SecondBlock:
        """Samples of every whole second; ``keep`` (n,) of bool drops samples as a lossy link would."""
        rng = np.random.default_rng(self.seed)
        pitch_deg, height, worn = (np.concatenate(x) for x in (self.pitch_deg, self.height_m, self.worn))
        n = len(pitch_deg) // round(self.rate_hz) * round(self.rate_hz)
        t = np.arange(n) / self.rate_hz
        pitch_deg = pitch_deg[:n] + worn[:n] * self.breathing_deg * np.sin(2 * np.pi * 0.25 * t)
        pitch = np.radians(pitch_deg)
        acc_up = np.gradient(np.gradient(height[:n], 1 / self.rate_hz), 1 / self.rate_hz)
        up = np.stack([-np.sin(pitch), np.cos(pitch), np.zeros(n)], axis=1)
        noise = rng.normal(0.0, self.acc_noise_mps2, (n, 3))
        acc = up * (GRAVITY_MPS2 + acc_up)[:, None] + noise + np.array(self.acc_offset_mps2)
        gyr = rng.normal(0.0, np.radians(self.gyr_noise_dps), (n, 3))
        gyr[:, 2] -= np.gradient(pitch, 1 / self.rate_hz)
        vertical = acc[:, 0] * up[:, 0] + acc[:, 1] * up[:, 1] + acc[:, 2] * up[:, 2] - GRAVITY_MPS2
        t_ns = T0_S * 1_000_000_000 + np.round(t * 1e9).astype(np.int64)
        rows = np.ones(n, dtype=bool) if keep is None else keep[:n].astype(bool)
        hole = np.zeros(n, dtype=bool)
        kept = np.flatnonzero(rows)
        hole[kept[1:][np.diff(kept) > 0.1 * self.rate_hz]] = True
        t_ns, acc, gyr, up, vertical, hole = (x[rows] for x in (t_ns, acc, gyr, up, vertical, hole))
        second = t_ns // 1_000_000_000
        first = np.flatnonzero(np.diff(second, prepend=second[0] - 1))
        gap = np.add.reduceat(hole.astype(np.int64), first) > 0
        tilt = pitch_deg[rows]
        return SecondBlock(
            second[first],
            np.append(first, len(second)),
            t_ns,
            acc,
            gyr,
            up,
            vertical,
            tilt,
            np.zeros(len(tilt)),
            np.ones(len(tilt), dtype=bool),
            gap,
            self.rate_hz,
        )


def part(block: SecondBlock, a: int, b: int) -> SecondBlock:
    """Seconds a..b of a block, as a block of their own."""
    lo, hi = int(block.start[a]), int(block.start[b])
    rows = slice(lo, hi)
    return SecondBlock(
        block.second[a:b],
        block.start[a : b + 1] - lo,
        block.t_utc_ns[rows],
        block.acc_p_mps2[rows],
        block.gyr_p_rps[rows],
        block.up_p[rows],
        block.acc_up_mps2[rows],
        block.anterior_tilt_deg[rows],
        block.obliquity_deg[rows],
        block.valid[rows],
        block.gap_before[a:b],
        block.rate_hz,
    )
