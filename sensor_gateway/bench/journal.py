"""How large the journal of a real day would be: recordings as frames of the open profile, in the blocks that the gateway writes.

Recordings above 100 Hz are brought down to it; slower ones stay as they are and count by sample, which makes them dearer than 100 Hz
would be (the steps between samples are larger). The recordings of a folder follow one another without an end. Each folder is
told as if all day were like it, and so is each activity that recordings name; `MIXED` puts a day together from these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from processing.synthetic import RadioModel
from processing.types import F64
from sensor_gateway.bench.labelled import ACTIVITIES, is_labelled, read_labelled
from sensor_gateway.bench.machine import BenchError
from sensor_gateway.drivers.base import Received
from sensor_gateway.drivers.open_profile import DATA_UUID, OpenProfileDriver, encode_frames
from sensor_gateway.drivers.synthetic import PER_FRAME
from sensor_gateway.recording.recording import read_recording
from sensor_gateway.spool import block
from sensor_gateway.spool.block import Source
from sensor_gateway.validation.peers import even

RATE_HZ: Final = 100.0
MIXED: Final = {"lying": 8.0, "sitting": 9.0, "standing": 4.0, "walking": 2.5, "stairs": 0.5}
"""Hours of a day that is more active than most; the clip is worn all night."""
_DAY_SAMPLES: Final = round(86_400 * RATE_HZ)
_ENTRIES: Final = round(60 * RATE_HZ / PER_FRAME)  # the gateway rewrites a minute as one block
_SOURCE: Final = Source(OpenProfileDriver.id, OpenProfileDriver.version)


def bench(reference: Path, progress: Callable[[float], None] | None = None) -> dict[str, Any]:
    """MB a wearer's day by folder of recordings and by activity, and of the mixed day; raises `BenchError`."""
    folders: dict[str, list[Path]] = {}
    for path in sorted(reference.glob("*/*.parquet")):
        folders.setdefault(path.parent.name, []).append(path)
    if not folders:
        raise BenchError(f"{reference}: no recordings (*/*.parquet) there; name the folder with --reference")
    labelled = [p for paths in folders.values() for p in paths if is_labelled(p)]
    parts: dict[str, tuple[list[Path], tuple[int, ...]]] = {name: (paths, ()) for name, paths in folders.items()}
    parts |= {name: (labelled, labels) for name, labels in ACTIVITIES.items() if labelled}
    sizes: dict[str, float] = {}
    minutes: dict[str, float] = {}
    for i, (name, (paths, labels)) in enumerate(parts.items()):
        size = samples = 0
        for items in _minutes(paths, labels):
            size += len(block.encode(items))
            samples += len(items) * PER_FRAME
        if samples:
            sizes[name] = round(size / samples * _DAY_SAMPLES / 1e6, 1)
            minutes[name] = round(samples / RATE_HZ / 60, 1)
        if progress is not None:
            progress((i + 1) / len(parts))
    found: dict[str, Any] = {"mb_per_day": sizes, "minutes_of_samples": minutes}
    if MIXED.keys() <= sizes.keys():
        mixed = sum(sizes[name] * hours for name, hours in MIXED.items()) / sum(MIXED.values())
        found |= {"mixed_hours": MIXED, "mixed_mb": round(mixed, 1)}
    return found


def _minutes(paths: Sequence[Path], labels: Sequence[int]) -> Iterator[list[tuple[Source, Received]]]:
    """Entries of the recordings, a minute at a time; what is left at the end is left out."""
    radio, first = RadioModel(1, RATE_HZ, PER_FRAME), 0
    waiting: list[tuple[Source, Received]] = []
    for path in paths:
        acc, gyr = _samples(path, labels)
        count = len(acc) // PER_FRAME
        n = count * PER_FRAME
        if not n:
            continue
        frames = encode_frames(first * PER_FRAME, first * PER_FRAME * 1e6 / RATE_HZ, acc[:n], gyr[:n], 80.0)
        arrival = radio.arrival_utc_ns(first, count).tolist()
        waiting += [(_SOURCE, Received(DATA_UUID, f, at, at)) for f, at in zip(frames, arrival, strict=True)]
        first += count
        while len(waiting) >= _ENTRIES:
            yield waiting[:_ENTRIES]
            del waiting[:_ENTRIES]


def _samples(path: Path, labels: Sequence[int]) -> tuple[F64, F64]:
    """Acceleration and rate at 100 Hz at most; with ``labels`` only where one of them holds."""
    if not labels:
        recording = read_recording(path, None)
        _, acc, gyr = even(replace(recording, rate_hz=min(RATE_HZ, recording.rate_hz)))
        return acc, gyr
    recording, label = read_labelled(path)
    chosen = np.isin(label, labels)
    return recording.acc_mps2[chosen], recording.gyr_rps[chosen]
