"""A past alignment looked at again: another pose or mount in its place, and everything derived anew beside the original.

The original store, journal and notes stay as they are. The correction is entered as a note (`alignments/notes.py`); the derivation is a
store of its own under ``derived/`` that says from which gateway, study and corrections it follows, so it can be made again
(`replay/derivation.py`). The running gateway goes on with what is in force now: for that, take a new neutral pose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from processing.alignment.static import Alignment, AlignmentError, Mount, align, parse_mount
from processing.pipeline import CaptureMovement, CaptureNeutral
from processing.rules.study import Study
from processing.types import GRAVITY_MPS2, NS_PER_S, Event
from sensor_gateway import controls
from sensor_gateway.alignments.notes import FILE, Correction, Note, corrections_of
from sensor_gateway.config import Sensor, Settings
from sensor_gateway.replay import derivation
from sensor_gateway.replay.journal_samples import span_of
from sensor_gateway.replay.rederive import SETTLE_NS, Replayed, SpoolReader, deriver_of, rederive
from sensor_gateway.spool.block import Logged
from sensor_gateway.spool.journal import CONTROL, JournalReader


class CorrectionError(ValueError):
    """A correction that cannot be made; the text says why and what to do."""


def with_mount(was: Alignment, text: str) -> Alignment:
    """``was`` with the clip sitting as ``text`` says ("up=+x,anterior=-z"); a neutral pose's up stays. Raises `AlignmentError`."""
    up = GRAVITY_MPS2 * np.array(was.r_ps[1]) if was.has_neutral else None
    return align(parse_mount(text), up, given=True, mount_id=was.mount_id, t_utc_ns=was.t_utc_ns)


def with_pose(
    spool: SpoolReader,
    sensor: Sensor,
    study: Study,
    was: Alignment,
    pose_utc_ns: tuple[int, int],
    corrections: Mapping[int, Alignment],
    progress: Callable[[float], None] | None = None,
) -> Alignment:
    """``was`` with its zero at the pose of [from, to), read from the journal; raises `CorrectionError` where it was not quiet."""
    t0_ns, t1_ns = pose_utc_ns
    deriver = deriver_of(sensor, study, corrections)
    span = span_of(spool, sensor.id, sensor.wearer)
    mount_id: str | None = None
    for entries in _with_capture(JournalReader(spool).read(sensor.id, span.start), t0_ns, t1_ns):
        for output in deriver.feed(entries):
            for r in output.records:
                if not isinstance(r, Event) or r.type != "alignment":
                    continue
                if r.t_utc_ns == t1_ns and r.data.get("step") == "neutral":
                    return _from_pose(was, r.data, mount_id)
                mount_id = str(r.data["mount_id"]) if r.data.get("mount_id") else mount_id
        if progress is not None:
            progress((entries[-1].seq + 1 - span.start) / len(span))
        if entries[0].received.rx_utc_ns > t1_ns + SETTLE_NS:
            break
    raise CorrectionError("the journal holds no samples of that pose; choose one while the sensor was received")


def _with_capture(groups: Iterator[list[Logged]], t0_ns: int, t1_ns: int) -> Iterator[list[Logged]]:
    """The journal with one neutral capture at ``t0_ns``, before the first entry received from then on."""
    due = True
    for group in groups:
        entries = [e for e in group if not _captures(e, t0_ns, t1_ns)]
        at = next((i for i, e in enumerate(entries) if e.received.rx_utc_ns >= t0_ns), None) if due else None
        if at is not None:
            due = False
            control = CaptureNeutral((t1_ns - t0_ns) / NS_PER_S)
            encoded = controls.encode(control, entries[at].received.rx_mono_ns, t0_ns)
            entries.insert(at, Logged(entries[at].seq, CONTROL, encoded))
        yield entries


def _captures(entry: Logged, t0_ns: int, t1_ns: int) -> bool:
    """Whether the entry would put another capture in the place of the one asked for."""
    if entry.source != CONTROL or not t0_ns <= entry.received.rx_utc_ns < t1_ns:
        return False
    try:
        return isinstance(controls.decode(entry.received), CaptureNeutral | CaptureMovement)
    except controls.ControlError:
        return False


def _from_pose(was: Alignment, found: Mapping[str, Any], mount_id: str | None) -> Alignment:
    if found["outcome"] == "refused":
        raise CorrectionError(f"{found['reason']}; choose another stretch of quiet standing")
    if mount_id is not None and mount_id != was.mount_id:
        raise CorrectionError(f"at that pose the clip was worn as {mount_id}, alignment {was.id} is of {was.mount_id}; choose a pose of the same mount")  # fmt: skip
    up = GRAVITY_MPS2 * np.array(found["r_ps"][1])
    try:
        return align(Mount(was.r_ps[1], was.r_ps[0]), up, given=True, mount_id=was.mount_id, t_utc_ns=was.t_utc_ns)
    except AlignmentError as e:
        raise CorrectionError(str(e)) from None


def derive_beside(
    folder: Path,
    spool: SpoolReader,
    sensor: Sensor,
    study: Study,
    notes: list[Note],
    settings: Settings,
    name: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Path, Replayed]:
    """Derive ``sensor``'s journal with all its corrections into a new store ``derived/NAME.db`` of the data folder.

    Raises `sensor_gateway.replay.rederive.ReplayError` where the name is taken.
    """
    mine = [n for n in notes if isinstance(n, Correction) and n.sensor == sensor.id]
    name = name or f"{sensor.id}-v{max((n.version for n in mine), default=0)}"
    path = derivation.derived_path(folder, name)
    with derivation.new_store(path) as store:
        replayed = rederive(spool, sensor, study, store, progress, corrections_of(notes, sensor.id))
        used = [
            derivation.alignment_fact(
                sensor,
                n.alignment.t_utc_ns,
                n.alignment,
                {"version": n.version, "replaces": n.of, **n.how, "note": n.note},
            )
            for n in mine
        ]
        counted = {"wearer": sensor.wearer, "sensor": sensor.id, **asdict(replayed)}
        options = {"correct": True, "notes": FILE}
        derivation.sign(
            store, derivation.facts(name, settings, study, "live", options, alignments=used, sensors=[counted])
        )
    return path, replayed
