"""Guesses what a foreign table's columns are, from names first and values second, each with its reason.

Behind `tiltline import`. A guess is shown before it is used and every one can be overruled on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from processing.types import F64, GRAVITY_MPS2
from sensor_gateway.recording.checks import gravity_at_rest, gyr_consistency, length, likely_acc_unit

ACC_UNITS: Final = {"mps2": 1.0, "g": GRAVITY_MPS2, "mg": GRAVITY_MPS2 / 1000, "cmps2": 0.01, "ftps2": 0.3048}
GYR_UNITS: Final = {"rps": 1.0, "dps": np.pi / 180, "mdps": np.pi / 180_000}
TIME_UNITS: Final = {"s": 1.0, "ms": 1e-3, "0.1ms": 1e-4, "us": 1e-6, "ns": 1e-9}
"""Unit names of the command line and their factor to m/s², rad/s and s."""

Sure: TypeAlias = Literal["stated", "sure", "likely", "unsure"]
"""How sure a guess is: said by the user; by name or known layout and not contradicted; by the values; by little."""

_ACC: Final = {"a", "acc", "accel", "accelerometer", "acceleration"}
_GYR: Final = {"g", "w", "gyr", "gyro", "gyroscope", "omega", "angular", "rotation", "rot"}
# Gravity taken out, or another quantity altogether: never a raw accelerometer or gyroscope.
_OTHER: Final = {"free", "linear", "lin", "user", "gravity", "mag", "m", "quat", "q", "euler", "dv", "dq", "ref"}
_TIMES: Final = (
    {"utc", "unix", "epoc", "epoch"},
    {"t", "time", "timestamp", "sampletimefine", "datetime"},
    {"elapsed", "seconds"},
)
_SPELLINGS: Final = {
    "mps2": {"m/s2", "m/s²", "m/s^2", "mps2", "ms2", "ms-2"},
    "g": {"g"},
    "mg": {"mg", "milli-g"},
    "rps": {"rad/s", "rps", "rads"},
    "dps": {"deg/s", "dps", "°/s", "degs", "deg/sec"},
    "mdps": {"mdps", "mdeg/s"},
    "s": {"s", "sec", "seconds"},
    "ms": {"ms", "millis", "msec"},
    "us": {"us", "µs", "usec", "micros"},
    "ns": {"ns", "nanos"},
}


@dataclass(frozen=True, slots=True)
class Named:
    """What a column's name says: ``group`` acc, gyr or time; ``axis`` x, y, z or "" ; ``unit`` or None; ``rank`` of a time."""

    group: str
    axis: str
    unit: str | None
    rank: int = 0


def read_name(name: str) -> Named | None:
    """Understand a column name such as "Acc_X", "gyro y (deg/s)", "wz", "epoc (ms)"; None where it is none of ours."""
    brackets = re.search(r"[(\[]([^)\]]*)[)\]]", name)
    bare = name if brackets is None else name.replace(brackets.group(), " ")
    bare = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", bare).lower()
    tokens = re.findall(r"[a-z]+|\d+", bare)
    if not tokens:
        return None
    whole = "".join(tokens)
    unit = _unit(brackets.group(1)) if brackets else None
    if unit is None and len(tokens) > 1 and (found := _unit("".join(tokens[-2:])) or _unit(tokens[-1])):
        unit = found
    for rank, words in enumerate(_TIMES):
        if whole in words or words & set(tokens):
            return Named("time", "", unit, rank)
    axis, rest = _axis(tokens)
    if not axis or rest & _OTHER:
        return None
    group = "acc" if rest & _ACC else "gyr" if rest & _GYR else None
    return None if group is None else Named(group, axis, unit)


def read_unit(name: str) -> str | None:
    """The unit in brackets in a column's name, such as "x-axis (deg/s)"; None where there is none that we know."""
    brackets = re.search(r"[(\[]([^)\]]*)[)\]]", name)
    return _unit(brackets.group(1)) if brackets else None


def _unit(text: str) -> str | None:
    text = text.strip().lower().replace(" ", "")
    return next((unit for unit, words in _SPELLINGS.items() if text in words), None)


def _axis(tokens: Sequence[str]) -> tuple[str, set[str]]:
    alone = [t for t in tokens if t in {"x", "y", "z"}]
    if len(alone) == 1:
        return alone[0], {t for t in tokens if t != alone[0]}
    for t in tokens:
        if t[-1] in "xyz" and t[:-1] in _ACC | _GYR | _OTHER:
            return t[-1], {t[:-1], *(u for u in tokens if u != t)}
    return "", set(tokens)


def find_columns(columns: Sequence[str]) -> tuple[str | None, dict[str, str], dict[str, list[str]]]:
    """The time column (or None), our six names to the table's, and rivals: further columns that would fit as well."""
    named = [(c, n) for c in columns if (n := read_name(c))]
    times = sorted((n.rank, i, c) for i, (c, n) in enumerate(named) if n.group == "time")
    found: dict[str, str] = {}
    rivals: dict[str, list[str]] = {}
    for column, n in named:
        if n.group == "time":
            continue
        ours = ("a" if n.group == "acc" else "g") + n.axis
        if ours in found:
            rivals.setdefault(ours, []).append(column)
        else:
            found[ours] = column
    return (times[0][2] if times else None), found, rivals


def guess_time_unit(values: F64, name_says: str | None, name: str = "") -> tuple[str, Sure, str]:
    """Unit of numeric times (n,), how sure and why: the name, else the unit whose rate is that of a motion sensor."""
    step = float(np.median(np.diff(values))) if len(values) > 1 else 1.0
    if name_says in TIME_UNITS and 1.0 < 1.0 / max(step * TIME_UNITS[name_says], 1e-12) < 20_000.0:
        return name_says, "sure", "the column's name"
    # Xsens counts in 10 kHz where a DOT counts microseconds, under one name.
    units = ("us", "0.1ms") if name.lower() == "sampletimefine" else ("s", "ms", "us", "ns")
    fitting = [u for u in units if step > 0 and 10.0 <= 1.0 / (step * TIME_UNITS[u]) <= 2000.0]
    if fitting:
        unit = fitting[0]
        rate = f"steps of {step:g} {unit} are {1 / (step * TIME_UNITS[unit]):.4g} samples a second"
        return unit, "likely" if len(fitting) == 1 else "unsure", rate
    return "s", "unsure", f"steps of {step:g} fit no unit; seconds assumed"


def guess_acc_unit(acc: F64, gyr: F64, rate_hz: float, said: str | None) -> tuple[str, Sure, str]:
    """Unit of acceleration (n, 3), how sure and why: what the name or layout says, held against gravity at rest.

    Where gravity contradicts by more than a fifth, the values win.
    """
    gravity = gravity_at_rest(acc, gyr, rate_hz)
    reads = f"gravity at rest reads {gravity:.4g}"
    spelled = likely_acc_unit(gravity)
    by_value = {None: "mps2", "ft/s²": "ftps2", "cm/s²": "cmps2"}.get(spelled, spelled or "mps2")
    if said in ACC_UNITS:
        share = gravity * ACC_UNITS[said] / GRAVITY_MPS2
        if 0.8 < share < 1.25:
            return said, "sure", f"the column's name; {reads}"
        if _fits_gravity(gravity, by_value):
            return by_value, "unsure", f"{reads}, which is not {said} as said elsewhere; check it"
        return said, "unsure", f"the column's name, but {reads}; check it"
    return by_value, "likely" if _fits_gravity(gravity, by_value) else "unsure", reads


def _fits_gravity(gravity: float, unit: str) -> bool:
    return 0.9 < gravity * ACC_UNITS[unit] / GRAVITY_MPS2 < 1.1


def guess_gyr_unit(acc_mps2: F64, gyr: F64, rate_hz: float, said: str | None) -> tuple[str, Sure, str]:
    """Unit of angular rate (n, 3), how sure and why: what the name or layout says, else whether gravity turns as fast as the
    numbers say, else their size. Where turning clearly contradicts what is said, the values win.
    """
    scale, error, _ = gyr_consistency(acc_mps2, gyr, rate_hz)
    turns = 3 * error < scale
    by_turning = min(GYR_UNITS, key=lambda u: abs(np.log(scale / GYR_UNITS[u]))) if turns else None
    told = f"gravity turns {scale:.3g} times as fast as the numbers say"
    if said in GYR_UNITS:
        if by_turning not in (None, said) and 10 * error < scale:
            return str(by_turning), "unsure", f"{told}, which is not {said} as said elsewhere; check it"
        return said, "sure", "the column's name" + (f"; {told}" if by_turning == said else "")
    if by_turning is not None:
        off = abs(np.log(scale / GYR_UNITS[by_turning]))
        return by_turning, "likely" if off < np.log(1.5) else "unsure", told
    top = float(np.quantile(length(gyr), 0.99))
    unit = "rps" if top <= 35.0 else "dps" if top <= 4000.0 else "mdps"
    return unit, "unsure", f"it reaches {top:.3g} (too little slow turning to compare with gravity)"


def up_axis(acc_mps2: F64, gyr_rps: F64, rate_hz: float) -> tuple[str, float]:
    """The signed sensor axis that points up while the sensor is quietest, and its share of gravity (1: exactly along it)."""
    size = max(1, round(rate_hz))
    count = max(1, len(acc_mps2) // size)
    used = acc_mps2[: count * size].reshape(count, -1, 3)
    spin = length(gyr_rps[: count * size]).reshape(count, -1).mean(axis=1)
    quiet = np.argsort(spin, kind="stable")[: max(1, count // 4)]
    mean = np.median(used.mean(axis=1)[quiet], axis=0)
    k = int(np.argmax(np.abs(mean)))
    return ("+" if mean[k] > 0 else "-") + "xyz"[k], float(abs(mean[k]) / max(np.sqrt((mean**2).sum()), 1e-12))
