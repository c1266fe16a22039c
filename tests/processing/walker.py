"""A pelvis that takes steps at times that are known, as `SecondBlock`s: simple pulses, for tests of gait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.types import F64, GRAVITY_MPS2, NS_PER_S, SecondBlock

T0_S = 1_790_000_000


@dataclass(frozen=True)
class Foot:
    """A contact: when [s], which foot (True: right), and how hard (1: an ordinary step)."""

    t_s: float
    right: bool
    force: float = 1.0


def evenly(first_s: float, count: int, step_s: float = 0.55, *, right_first: bool = True) -> list[Foot]:
    """Contacts of an even walk."""
    return [Foot(first_s + i * step_s, (i % 2 == 0) == right_first) for i in range(count)]


def angles(t: F64, feet: list[Foot], left_deg: float, right_deg: float) -> tuple[F64, F64]:
    """Tilt swings 3° a step; obliquity by the given range while the left or right leg bears the weight [deg]."""
    tilt, obliquity = np.zeros(len(t)), np.zeros(len(t))
    for a, b in zip(feet, feet[1:], strict=False):
        inside = (t >= a.t_s) & (t < b.t_s)
        phase = (t[inside] - a.t_s) / (b.t_s - a.t_s)
        tilt[inside] = 1.5 * np.sin(2 * np.pi * phase)
        obliquity[inside] = (right_deg if a.right else -left_deg) * np.sin(np.pi * phase)
    return tilt, obliquity


def walk(
    feet: list[Foot],
    seconds: int,
    *,
    rate_hz: float = 100.0,
    noise_mps2: float = 0.05,
    lean_deg: float = 0.0,
    seed: int = 3,
) -> SecondBlock:
    """Each contact brakes (upward and backward pulse, 0.12 s after it) and hands the weight over to its foot."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate_hz)
    t = np.arange(n) / rate_hz
    vertical, anterior, right = (rng.normal(0.0, noise_mps2, n) for _ in range(3))
    for i, foot in enumerate(feet):
        pulse = np.exp(-0.5 * ((t - foot.t_s - 0.12) / 0.08) ** 2)
        dip = np.exp(-0.5 * ((t - foot.t_s + 0.12) / 0.08) ** 2)
        vertical += foot.force * 3.0 * (pulse - dip)
        anterior -= foot.force * 1.5 * (pulse - dip)
        until = feet[i + 1].t_s if i + 1 < len(feet) else foot.t_s + 0.55
        stance = (t >= foot.t_s) & (t < until)
        right[stance] += (-1.0 if foot.right else 1.0) * np.sin(np.pi * (t[stance] - foot.t_s) / (until - foot.t_s))
    tilt, obliquity = angles(t, feet, 3.0, 3.0)
    c, s = np.cos(np.radians(lean_deg)), np.sin(np.radians(lean_deg))
    total = vertical + GRAVITY_MPS2
    acc = np.column_stack([c * anterior - s * total, s * anterior + c * total, right])
    up = np.tile([-s, c, 0.0], (n, 1))
    t_ns = T0_S * NS_PER_S + np.round(t * NS_PER_S).astype(np.int64)
    return block_of(t_ns, acc, up, vertical, tilt, obliquity, rate_hz)


def block_of(t_ns: F64, acc: F64, up: F64, acc_up: F64, tilt: F64, obliquity: F64, rate_hz: float) -> SecondBlock:
    """Samples grouped into their seconds."""
    second = t_ns // NS_PER_S
    first = np.flatnonzero(np.diff(second, prepend=second[0] - 1))
    valid = np.ones(len(t_ns), dtype=bool)
    gap = np.zeros(len(first), dtype=bool)
    start = np.append(first, len(t_ns))
    return SecondBlock(
        second[first], start, t_ns, acc, np.zeros_like(acc), up, acc_up, tilt, obliquity, valid, gap, rate_hz
    )


def rows(block: SecondBlock, keep: F64) -> SecondBlock:
    """The block with some of its samples only."""
    b = block
    return block_of(
        b.t_utc_ns[keep],
        b.acc_p_mps2[keep],
        b.up_p[keep],
        b.acc_up_mps2[keep],
        b.anterior_tilt_deg[keep],
        b.obliquity_deg[keep],
        b.rate_hz,
    )


def pieces(block: SecondBlock, sizes: list[int]) -> list[SecondBlock]:
    """The block cut into groups of so many seconds; the last group takes what is left."""
    edges = [0, *np.cumsum(sizes).tolist()]
    edges = [e for e in edges if e < len(block.second)] + [len(block.second)]
    out = []
    for lo, hi in zip(edges, edges[1:], strict=False):
        keep = np.arange(block.start[lo], block.start[hi])
        out.append(rows(block, keep))
    return out
