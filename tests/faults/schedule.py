"""The seeded schedule: which fault strikes what, how long, and what strikes together with it. A function of the seed alone."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any

KINDS: dict[str, tuple[str, ...]] = {
    "kill": ("gateway", "bridge", "broker", "database", "shim"),
    "freeze": ("gateway", "bridge", "broker", "database"),
    "away": ("broker", "database", "both"),
    "disk_full": ("gateway", "bridge"),
    "torn": ("gateway", "bridge", "broker"),
    "cut": ("gateway-broker", "bridge-broker", "bridge-database"),
    "hold": ("gateway-broker", "bridge-broker", "bridge-database"),
    "slow_net": ("gateway-broker", "bridge-broker", "bridge-database"),
    "slow_disk": ("gateway", "bridge"),
    "clock_step": ("gateway", "bridge"),
    "study": ("gateway",),
}
"""Fault to what it can strike. Resets of the sensors' own clocks are on the tapes."""
_WEIGHT = {"kill": 4, "cut": 2, "freeze": 2, "away": 2, "torn": 2, "study": 2}
LONG = ("away",)


@dataclass(frozen=True)
class Fault:
    """One fault; ``dose`` is what its kind makes of it (bytes to a cut, seconds of a clock step, ...)."""

    kind: str
    target: str
    seconds: float
    dose: int

    def plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Strike:
    """Faults that begin together, after a pause; ``share`` is how much of the tape passes meanwhile, beside the others."""

    pause_s: float
    faults: tuple[Fault, ...]
    share: float


def schedule(seed: int, count: int, longest_s: float = 1.5, without: frozenset[str] = frozenset()) -> list[Strike]:
    """Strikes with ``count`` faults in all; about a third of them in pairs. ``without`` names kinds this machine lacks."""
    rng = random.Random(f"chaos {seed}")
    kinds = [kind for kind in KINDS if kind not in without]
    weights = [_WEIGHT.get(kind, 1) for kind in kinds]
    strikes: list[Strike] = []
    left = count
    while left:
        faults: list[Fault] = []
        for _ in range(min(left, 2 if rng.random() < 0.2 else 1)):
            kind = rng.choices(kinds, weights)[0]
            target = rng.choice(KINDS[kind])
            if any(_clash(target, other.target) for other in faults):
                continue
            seconds = rng.uniform(0.1, longest_s) * (2 if kind in LONG else 1)
            faults.append(Fault(kind, target, round(seconds, 3), rng.randrange(1, 60_000)))
        left -= len(faults)
        away = any(fault.kind in LONG for fault in faults)
        strikes.append(Strike(round(rng.uniform(0.05, 0.6), 3), tuple(faults), 4.0 if away else 1.0))
    return strikes


def _clash(a: str, b: str) -> bool:
    """Two faults on one process would undo each other: the first to end would start what the second holds down."""
    stopped = {"both": {"broker", "database"}}
    return bool(stopped.get(a, {a}) & stopped.get(b, {b}))
