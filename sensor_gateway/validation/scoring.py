"""One recording, one task: Tiltline in one mode, or all the peers, against the recording's truth. What a worker process runs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from processing.frames import rotate, tilt_and_obliquity_deg
from processing.types import F64
from sensor_gateway.recording.alignment import align_recording
from sensor_gateway.recording.recording import Recording, RecordingError, read_recording
from sensor_gateway.validation import chain, peers
from sensor_gateway.validation.alignment import Surveyed, survey_case
from sensor_gateway.validation.datasets import Case
from sensor_gateway.validation.rows import (
    TILTLINE,
    WHOLE,
    Row,
    inclination_rows,
    own_rows,
    step_row,
    tilt_rows,
    transfer_tally,
)
from sensor_gateway.validation.truth import Truth, read_truth

Task: TypeAlias = Literal["online", "settled", "retro", "alignment", "peers"]


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows of one recording and task, CPU seconds of the method itself, and what has to be said about it."""

    rows: list[Row]
    cpu_s: float
    duration_s: float
    warnings: list[str]
    surveyed: Surveyed | None = None


def score(case: Case, task: Task) -> Scored:
    """Run one task on one recording; a recording that cannot be read gives no rows and its sentence."""
    truth = read_truth(case.path)
    duration_s = float(truth.t_s[-1] - truth.t_s[0]) if len(truth.t_s) else 0.0
    blank = Row(
        case.set, case.name, case.subject, case.activity, case.looked_at, TILTLINE, task, "", WHOLE, np.empty(0)
    )
    try:
        if task == "alignment":
            began = time.process_time()
            surveyed = survey_case(case, truth, read_recording(case.path))
            return Scored([], time.process_time() - began, duration_s, [], surveyed)
        if task == "peers":
            began = time.process_time()
            rows = list(_peer_rows(case, truth, blank))
            return Scored(rows, time.process_time() - began, duration_s, [])
        with tempfile.TemporaryDirectory(prefix="tiltline-validate-") as scratch:
            out = chain.run(case, task, truth.neutral_s, Path(scratch))
    except RecordingError as e:
        return Scored([], 0.0, duration_s, [str(e)])
    return Scored(list(own_rows(truth, out, blank)), out.cpu_s, duration_s, out.warnings)


def _peer_rows(case: Case, truth: Truth, blank: Row) -> Iterator[Row]:
    recording = read_recording(case.path)
    if truth.up_s is not None or truth.tilt_deg is not None:
        for name in peers.ORIENTATION:
            yield from _orientation_rows(case, truth, recording, name, replace(blank, estimator=name, mode=""))
    here = peers.installed()
    if truth.contacts is not None and len(truth.contacts.t_s):
        methods: dict[str, Callable[[], F64]] = {"metronome": lambda: peers.metronome(contacts)}
        contacts = truth.contacts
        if "mobgap" in here:
            methods |= {
                name: lambda name=name: peers.mobgap_steps(name, recording, case.mount, contacts)  # type: ignore[misc]
                for name in peers.DETECTORS
            }
        for name, detect in methods.items():
            yield step_row(truth, detect(), None, replace(blank, estimator=name, mode=""))
    if truth.label is not None and "scikit-digital-health" in here:
        ups = peers.skdh_stand_ups(recording)
        yield replace(
            blank,
            estimator="scikit-digital-health",
            mode="",
            measure="transfers",
            tally=transfer_tally(truth, ups, ("sit_to_stand",)),
        )


def _orientation_rows(case: Case, truth: Truth, recording: Recording, name: str, blank: Row) -> Iterator[Row]:
    up = peers.up_by(name, recording)
    if truth.up_s is not None:
        yield from inclination_rows(truth, chain.on_truth(truth.t_s, recording.file_times_ns, up), blank)
    if truth.tilt_deg is not None:
        alignment = align_recording(recording, case.mount, truth.neutral_s).alignment
        tilt, side = tilt_and_obliquity_deg(rotate(alignment.r_ps, up))
        yield from tilt_rows(
            truth,
            chain.on_truth(truth.t_s, recording.file_times_ns, tilt),
            chain.on_truth(truth.t_s, recording.file_times_ns, side),
            blank,
        )
