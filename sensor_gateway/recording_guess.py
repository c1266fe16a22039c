"""Guesses what a foreign table's columns are, from names first and values second, each with its reason.

Behind `tiltline import`. A guess is shown before it is used and every one can be overruled on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from processing.types import F64, GRAVITY_MPS2
from sensor_gateway.recording_checks import gravity_at_rest, gyr_consistency, length, likely_acc_unit

ACC_UNITS: Final = {"mps2": 1.0, "g": GRAVITY_MPS2, "mg": GRAVITY_MPS2 / 1000, "cmps2": 0.01, "ftps2": 0.3048}
GYR_UNITS: Final = {"rps": 1.0, "dps": np.pi / 180, "mdps": np.pi / 180_000}
TIME_UNITS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Unit names of the command line and their factor to m/s², rad/s and s."""

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


def guess_time_unit(values: F64, name_says: str | None) -> tuple[str, str]:
    """Unit of numeric times (n,) and why: the name, else the unit whose rate is that of a motion sensor."""
    step = float(np.median(np.diff(values))) if len(values) > 1 else 1.0
    if name_says in TIME_UNITS and 1.0 < 1.0 / max(step * TIME_UNITS[name_says], 1e-12) < 20_000.0:
        return name_says, "the column's name"
    for unit, factor in TIME_UNITS.items():
        if step > 0 and 10.0 <= 1.0 / (step * factor) <= 2000.0:
            return unit, f"steps of {step:g} {unit} are {1 / (step * factor):.4g} samples a second"
    return "s", f"steps of {step:g} fit no unit; seconds assumed"


def guess_acc_unit(acc: F64, gyr: F64, rate_hz: float, name_says: str | None) -> tuple[str, str]:
    """Unit of acceleration (n, 3) and why: the name, else what gravity reads at rest."""
    gravity = gravity_at_rest(acc, gyr, rate_hz)
    if name_says in ACC_UNITS:
        return name_says, f"the column's name; gravity at rest reads {gravity:.4g}"
    spelled = likely_acc_unit(gravity)
    unit = {None: "mps2", "ft/s²": "ftps2", "cm/s²": "cmps2"}.get(spelled, spelled or "mps2")
    return unit, f"gravity at rest reads {gravity:.4g}"


def guess_gyr_unit(acc_mps2: F64, gyr: F64, rate_hz: float, name_says: str | None) -> tuple[str, str]:
    """Unit of angular rate (n, 3) and why: the name, else whether gravity turns as fast as it says, else its size."""
    if name_says in GYR_UNITS:
        return name_says, "the column's name"
    scale, error, _ = gyr_consistency(acc_mps2, gyr, rate_hz)
    if 3 * error < scale:
        unit = min(GYR_UNITS, key=lambda u: abs(np.log(scale / GYR_UNITS[u])))
        return unit, f"gravity turns {scale:.3g} times as fast as the numbers say"
    top = float(np.quantile(length(gyr), 0.99))
    unit = "rps" if top <= 35.0 else "dps" if top <= 4000.0 else "mdps"
    return unit, f"it reaches {top:.3g} (too little slow turning to compare with gravity)"


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
