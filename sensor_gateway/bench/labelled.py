"""Recordings that name what is done: the numbers of their column ``label`` (those of HAPT), sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from processing.types import I64
from sensor_gateway.bench.machine import BenchError
from sensor_gateway.recording.recording import Recording, read_recording

ACTIVITIES: Final[Mapping[str, tuple[int, ...]]] = {
    "lying": (6,),
    "sitting": (4,),
    "standing": (5,),
    "walking": (1,),
    "stairs": (2, 3),
}


def is_labelled(path: Path) -> bool:
    """Whether the recording has the column."""
    return "label" in pq.read_schema(path).names


def read_labelled(path: Path) -> tuple[Recording, I64]:
    """The recording and its labels (n,); raises `BenchError` where they do not belong to the same samples."""
    recording = read_recording(path, None)
    label: I64 = pq.read_table(path, columns=["label"]).column(0).to_numpy()
    if len(label) != len(recording.acc_mps2):
        raise BenchError(f"{path}: rows were left out of it, so its labels do not fit")
    return recording, label
