"""Others' methods on the same samples, in the same run: what Tiltline has to be better than.

Always here: plain `vqf` (defaults, ``tauAcc`` 5 s, and its non-causal form), the accelerometer alone, and a metronome, which shows what
a step score is worth. Where the extra packages are installed: three step detectors of `mobgap` and sit-to-stand of
`scikit-digital-health`. Step detectors of `mobgap` want one walk at a time, so they are told where the truth says somebody walked;
Tiltline is not. Nothing of them is tuned.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from vqf import VQF, offlineVQF

from processing.alignment.static import parse_mount
from processing.frames import up_in_sensor
from processing.types import F64, NS_PER_S
from sensor_gateway.recording.recording import Recording
from sensor_gateway.validation.truth import Contacts

OPTIONAL: Final[Mapping[str, str]] = {"mobgap": "mobgap", "scikit-digital-health": "skdh"}
"""Distribution to module."""
DETECTORS: Final[Mapping[str, str]] = {
    "mobgap Shin": "IcdShinImproved",
    "mobgap HKLee": "IcdHKLeeImproved",
    "mobgap Ionescu": "IcdIonescu",
}
_MARGIN_S: Final = 0.5
_BRIDGE_S: Final = 1.0


def installed() -> dict[str, str]:
    """Optional peers that are here, with their versions."""
    return {name: version(name) for name, module in OPTIONAL.items() if importlib.util.find_spec(module) is not None}


def _plain(gyr: F64, acc: F64, ts: float, **params: float) -> F64:
    q: F64 = VQF(ts, **params).updateBatch(gyr, acc)["quat6D"]
    return up_in_sensor(q)


def _offline(gyr: F64, acc: F64, ts: float) -> F64:
    return up_in_sensor(offlineVQF(gyr, acc, None, ts, None)["quat6D"])


def _accelerometer(_: F64, acc: F64, __: float) -> F64:
    size: F64 = np.sqrt((acc * acc).sum(axis=1))
    return acc / np.where(size > 0, size, np.nan)[:, None]


ORIENTATION: Final[Mapping[str, Callable[[F64, F64, float], F64]]] = {
    "vqf default": _plain,
    "vqf tauAcc 5": lambda g, a, ts: _plain(g, a, ts, tauAcc=5.0),
    "offlineVQF": _offline,
    "accelerometer alone": _accelerometer,
}


def up_by(name: str, recording: Recording) -> F64:
    """Up in sensor axes (n, 3) by one of `ORIENTATION`; samples are taken as evenly spaced, as the filter takes them."""
    gyr, acc = np.ascontiguousarray(recording.gyr_rps), np.ascontiguousarray(recording.acc_mps2)
    return ORIENTATION[name](gyr, acc, 1.0 / recording.rate_hz)


def walks_s(contacts: Contacts) -> tuple[tuple[float, float], ...]:
    """Where the truth says somebody walked: its walking intervals, or from the first contact to the last."""
    if contacts.walks_s is not None:
        return contacts.walks_s
    return ((float(contacts.t_s[0]) - _MARGIN_S, float(contacts.t_s[-1]) + _MARGIN_S),) if len(contacts.t_s) else ()


def metronome(contacts: Contacts) -> F64:
    """Steps at the one even pace that the truth has in the middle of each walk: knows the pace, hears nothing."""
    beats: list[F64] = []
    for begin, end in walks_s(contacts):
        inside = contacts.t_s[(contacts.t_s >= begin) & (contacts.t_s <= end)]
        if len(inside) >= 3:
            pace = float(np.median(np.diff(inside)))
            beats.append(np.arange(float(inside[0]), float(inside[-1]) + 0.5 * pace, pace))
    return np.concatenate(beats) if beats else np.empty(0)


def mobgap_steps(name: str, recording: Recording, mount: str, contacts: Contacts) -> F64:
    """Contacts [s] by one detector of `DETECTORS`, walk by walk."""
    pandas: Any = importlib.import_module("pandas")
    detector: Any = getattr(importlib.import_module("mobgap.initial_contacts"), DETECTORS[name])
    t, acc, gyr = even(recording)
    axes = parse_mount(mount)
    up, ahead = np.array(axes.up), np.array(axes.anterior)
    left = np.cross(up, ahead)
    body = {
        f"{k}_{a}": x @ v for k, x in (("acc", acc), ("gyr", gyr)) for a, v in (("is", up), ("ml", left), ("pa", ahead))
    }
    found: list[F64] = []
    for begin, end in walks_s(contacts):
        lo, hi = np.searchsorted(t, (begin, end))
        if hi - lo < recording.rate_hz:  # the filters of the detectors need a second
            continue
        frame = pandas.DataFrame({k: v[lo:hi] for k, v in body.items()})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = detector().detect(frame, sampling_rate_hz=recording.rate_hz).ic_list_["ic"].to_numpy()
        found.append(t[lo + rows[rows < hi - lo].astype(np.int64)])
    return np.sort(np.concatenate(found)) if found else np.empty(0)


def skdh_stand_ups(recording: Recording) -> list[tuple[float, str]]:
    """Middle [s] of each sit-to-stand that `scikit-digital-health` finds; it looks for no other change."""
    sit2stand: Any = importlib.import_module("skdh.sit2stand").Sit2Stand
    t, acc, _ = even(recording)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sit2stand().predict(time=t, accel=np.ascontiguousarray(acc) / 9.81)
    begin, length = (np.asarray(found[k], dtype=np.float64) for k in ("STS Start", "Duration"))
    return [(float(b + d / 2), "sit_to_stand") for b, d in zip(begin, length, strict=True) if np.isfinite(b + d)]


def even(recording: Recording) -> tuple[F64, F64, F64]:
    """Evenly spaced samples for methods that know no gaps: drawn straight across those of a second at most, held across longer ones."""
    t = recording.t_utc_ns / NS_PER_S
    grid = np.arange(t[0], t[-1], 1.0 / recording.rate_hz)
    after = np.searchsorted(t, grid, side="right").clip(1, len(t) - 1)
    hold = t[after] - t[after - 1] > _BRIDGE_S

    def drawn(x: F64) -> F64:
        columns = [np.where(hold, x[after - 1, i], np.interp(grid, t, x[:, i])) for i in range(3)]
        return np.column_stack(columns)

    return grid, drawn(recording.acc_mps2), drawn(recording.gyr_rps)
