"""What can be wrong with the numbers of a recording, and how it is told: order, repeats, rate, units. Pure arithmetic.

Called by `recording.read_recording` after the columns are arrays and before anything reaches the filter.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from processing.types import F64, GRAVITY_MPS2, I64, NS_PER_S, Bool

_DAY_NS: Final = 86_400 * NS_PER_S
_MAX_HOLE_NS: Final = 31 * _DAY_NS
_MAX_UTC_NS: Final = 7_258_118_400 * NS_PER_S  # 2200-01-01: later than this is a wrong unit, not a date
_ABSURD: Final = 1e6
"""Beyond any unit of any sensor (raw counts end at 32768 per axis): such a sample is as unusable as NaN."""
_MOST_LEAP_RPS: Final = np.radians(500.0)
_MOST_LEAPING: Final = 0.05
_GARBAGE_ROWS: Final = 5
_SLOWEST_HZ: Final = 5.0
_DEG_PER_RAD: Final = 180.0 / np.pi


def usable_rows(acc: F64, gyr: F64) -> Bool:
    """Rows (n,) whose six values are finite and not absurd; the others must become a gap.

    An acceleration of exactly nothing on all axes is none: a chip that is not measuring yet sends zeros, a falling one noise.
    """
    ok: Bool = (acc[:, 0] != 0.0) | (acc[:, 1] != 0.0) | (acc[:, 2] != 0.0)
    for values in (acc, gyr):
        for i in range(3):  # column by column: a day of samples must not be copied whole
            ok &= np.abs(values[:, i]) < _ABSURD  # NaN compares false
    return ok


def leaping_rows(t_utc_ns: I64, gyr: F64, rate_hz: float) -> Bool:
    """Rows (n,) whose angular rate leaps away from both neighbours by more than a body can: spikes of a bus, and garbage.

    One such sample turns an angle by 10 or 20 degrees that never were. A hand may turn a sensor by 1000 deg/s three times a second:
    at 25 Hz that lies within the limit. Acceleration is left alone: a tap leaps by 10 g and is real. Steps count whose length is at
    most three periods. Where many samples leap it is no spike but the unit or the sensor, and none is named.
    """
    out = np.zeros(len(gyr), dtype=np.bool_)
    for i in range(3):
        step = np.diff(gyr[:, i])
        if step.size and max(step.max(), -step.min()) > _MOST_LEAP_RPS:
            step[np.diff(t_utc_ns) > 3.0 * NS_PER_S / rate_hz] = 0.0
            far = np.abs(step) > _MOST_LEAP_RPS
            # Away from the mean of both neighbours, too: the flank of a fast turn leaps from each, but lies between them.
            away = np.abs(step[:-1] - step[1:]) > 2.0 * _MOST_LEAP_RPS
            out[1:-1] |= far[:-1] & far[1:] & away
    leaping = np.flatnonzero(out)
    if len(leaping) > _MOST_LEAPING * len(out):
        return np.zeros(len(gyr), dtype=np.bool_)
    # What lies between two of them, or between one and an end of the recording, is of the same garbage.
    edges = np.concatenate(([-1], leaping, [len(out)]))
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if len(leaping) and b - a <= _GARBAGE_ROWS:
            out[a + 1 : b] = True
    return out


def length(v: F64) -> F64:
    """Length of each row (n, 3)."""
    out: F64 = np.sqrt(np.einsum("ij,ij->i", v, v))
    return out


def check_times(t_utc_ns: I64, row: I64, what: str) -> None:
    """Raise ValueError unless the times (n,) never go back and are plausible dates; ``row`` (n,) numbers them for people.

    Time going back is an error and not sorted away: it marks two sessions in one file or a clock that was reset, and
    sorting would weave them into one motion that nobody made.
    """
    step = np.diff(t_utc_ns)
    if len(step) and step.min() < 0:
        i = int(np.argmax(step < 0))
        raise ValueError(
            f"{what} goes back from row {row[i]} to row {row[i + 1]} (by {-step[i] / NS_PER_S:.6g} s); "
            "split the file there, or sort it with `tiltline import --sort` if its rows are only out of order"
        )
    if t_utc_ns[0] < 0:
        raise ValueError(f"{what} starts before 1970; give the time of t_s = 0 with --start, e.g. 2026-03-01T08:00:00Z")
    if t_utc_ns[-1] > _MAX_UTC_NS:
        raise ValueError(f"{what} lies after the year 2200; it is probably not in the unit its name says")
    if len(step) and step.max() > _MAX_HOLE_NS:
        i = int(np.argmax(step))
        raise ValueError(
            f"{what} jumps by {step[i] / _DAY_NS:.0f} days from row {row[i]} to row {row[i + 1]}; "
            "split the file there or repair the time column"
        )


def repeated_rows(t_utc_ns: I64, acc: F64, gyr: F64, row: I64, what: str) -> Bool:
    """Rows (n,) that repeat the row before them exactly; raises ValueError where one time carries two different samples.

    An exact repeat is a packet sent twice and says nothing new. Two different samples at one time mean that the column
    holds the packet's time and not the sample's; any choice among them would be invented.
    """
    same = np.zeros(len(t_utc_ns), dtype=np.bool_)
    same[1:] = t_utc_ns[1:] == t_utc_ns[:-1]
    if same.any():
        i = np.flatnonzero(same)
        differ = i[(acc[i] != acc[i - 1]).any(axis=1) | (gyr[i] != gyr[i - 1]).any(axis=1)]
        if len(differ):
            j = int(differ[0])
            raise ValueError(
                f"{what} repeats: rows {row[j - 1]} and {row[j]} have the same time and different samples "
                f"({len(differ)} such rows); give each sample its own time, or even ones with `tiltline import --rate HZ`"
            )
    return same


def rate_of(t_utc_ns: I64) -> float:
    """Sampling rate [Hz] from times (n,), n >= 2, robust against gaps, jitter and times rounded to milliseconds.

    The median step decides which steps are single ones (0.5 to 1.5 of it); their mean is the period.
    """
    step = np.diff(t_utc_ns)
    middle = float(np.median(step))
    single = step[(step >= 0.5 * middle) & (step <= 1.5 * middle)]
    # Four decimals: the same rate for the same sensor, whatever the last bit of its time stamps.
    return round(NS_PER_S / float(np.mean(single)), 4)


def check_rate(rate_hz: float, what: str) -> list[str]:
    """Warnings on a slow recording; raises ValueError where the rate can only be a wrong unit of time."""
    if rate_hz < 1.0:
        raise ValueError(
            f"{what} steps by {1 / rate_hz:.6g} s, which looks like milliseconds; "
            "convert it with `tiltline import --time-unit ms`"
        )
    if rate_hz < _SLOWEST_HZ:
        raise ValueError(
            f"only {rate_hz:g} samples a second; a moving pelvis cannot be followed below {_SLOWEST_HZ:g}: record 25 or more"
        )
    if rate_hz > 20_000.0:
        raise ValueError(f"{what} steps by {1 / rate_hz:.3g} s, faster than any motion sensor; check its unit")
    if rate_hz < 25.0:
        return [f"only {rate_hz:g} samples a second; below 25 the tilt while moving is unreliable"]
    return []


def unit_warnings(acc: F64, gyr: F64, rate_hz: float) -> list[str]:
    """Say where acceleration or angular rate are probably not in m/s² and rad/s, naming the likely unit.

    Acceleration is judged by its length over the quietest tenth of the recording, where only gravity is left; angular
    rate by size and by whether gravity turns as fast as it says.
    """
    stuck = [
        f"{what} is the same in every sample: the sensor did not measure it; record again"
        for what, x in (("acceleration", acc), ("angular rate", gyr))
        if (x[-1] == x[0]).all() and (x == x[0]).all()
    ]
    return [*stuck, *(w for w in (_acc_warning(acc, gyr, rate_hz), _gyr_warning(acc, gyr, rate_hz)) if w)]


def gravity_at_rest(acc: F64, gyr: F64, rate_hz: float) -> float:
    """Median length of the specific force over the quietest tenth of one-second windows (all rows if under 2 s)."""
    norm = length(acc)
    size = max(1, round(rate_hz))
    count = len(norm) // size
    if count < 2:
        return float(np.median(norm))
    blocks = norm[: count * size].reshape(count, size)
    spin = length(gyr[: count * size]).reshape(count, size).mean(axis=1)
    spread = blocks.std(axis=1)
    # Both units are unknown here, so each is compared with its own median only.
    unrest = spread / (np.median(spread) or 1.0) + spin / (np.median(spin) or 1.0)
    quiet = np.argsort(unrest, kind="stable")[: max(1, count // 10)]
    return float(np.median(blocks[quiet]))


def likely_acc_unit(gravity: float) -> str | None:
    """Name the unit in which gravity at rest reads this number, or None if it is m/s² or nothing known."""
    units = {"g": 1.0, "mg": 1000.0, "ft/s²": 32.174, "cm/s²": 980.665}
    if abs(gravity / GRAVITY_MPS2 - 1.0) < 0.15:
        return None
    close = min(units, key=lambda u: abs(np.log(max(gravity, 1e-9) / units[u])))
    return close if abs(gravity / units[close] - 1.0) < 0.15 else None


def _acc_warning(acc: F64, gyr: F64, rate_hz: float) -> str | None:
    gravity = gravity_at_rest(acc, gyr, rate_hz)
    if abs(gravity / GRAVITY_MPS2 - 1.0) < 0.15:
        return None
    unit = likely_acc_unit(gravity)
    if unit:
        guess, remedy = f"looks like {unit}", f"convert it with `tiltline import --acc-unit {_OPTION.get(unit, unit)}`"
    elif gravity < 0.5:
        guess, remedy = (
            "gravity seems to be taken out",
            "use the raw acceleration; tilt cannot be found without gravity",
        )
    elif gravity > 100:
        guess, remedy = (
            "looks like raw counts",
            f"convert it with `tiltline import --acc-scale {GRAVITY_MPS2 / gravity:.6g}`",
        )
    else:
        guess, remedy = "is no unit we know", "check the sensor's scale"
    return f"acceleration at rest is {gravity:.4g} instead of 9.81 m/s²: {guess}; {remedy}"


_OPTION: Final = {"ft/s²": "ftps2", "cm/s²": "cmps2"}


def gyr_consistency(acc: F64, gyr: F64, rate_hz: float) -> tuple[float, float, float]:
    """Least-squares scale between how fast gravity turns in the sensor and how fast the gyroscope says it does.

    Near 1 for rad/s and 0.017 for deg/s. Returns (scale, standard error, RMS rate in the unit given). Direction of gravity:
    mean over 0.5 s, which removes most of the motion; fast spins and walking leave a large standard error.
    """
    size = max(1, round(rate_hz * 0.5))
    count = len(acc) // size
    if count < 4:
        return float("nan"), float("inf"), 0.0
    a = acc[: count * size].reshape(count, size, 3).mean(axis=1)
    w = gyr[: count * size].reshape(count, size, 3).mean(axis=1)
    u = a / np.maximum(length(a), 1e-12)[:, None]
    # The mean rate between the middles of two windows; gravity stands still in the world: du/dt = -w x u.
    turned = np.diff(u, axis=0)
    said = -np.cross((w[1:] + w[:-1]) / 2, (u[1:] + u[:-1]) / 2) * (size / rate_hz)
    power = float((said**2).sum())
    rms = float(np.sqrt(np.mean(length(gyr) ** 2)))
    if power <= 0.0:
        return float("nan"), float("inf"), rms
    scale = float((turned * said).sum()) / power
    rest = turned - scale * said
    error = float(np.sqrt((rest**2).sum() / (2 * count) / power))
    return scale, error, rms


def _gyr_warning(acc: F64, gyr: F64, rate_hz: float) -> str | None:
    scale, error, rms = gyr_consistency(acc, gyr, rate_hz)
    top = float(np.quantile(length(gyr), 0.99))
    remedy = "convert it with `tiltline import --gyr-unit dps`"
    # 35 rad/s is the full range (2000 deg/s) of the usual chips; nothing worn stays there for one sample in a hundred.
    slow = rms > 1.0 and 3 * error < scale < 3 / _DEG_PER_RAD - 2 * error
    if top > 35.0 or slow:
        if top > 20_000.0:
            return f"angular rate reaches {top:.4g}: looks like raw counts or mdeg/s; convert it to rad/s"
        return f"angular rate reaches {top:.4g} rad/s, gravity turns far slower: looks like deg/s; {remedy}"
    return None
