"""What a file of alignments (`alignments/stated.py`) comes to: from which instant which alignment holds, for a replay of one sensor.

Entries are taken in the order of their instants, each on top of those before: a pose keeps the front that is in force by then. What is
to be found (`auto`) is searched in the journal's samples by the same code as `tiltline process --mount auto --neutral auto`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from processing.alignment.capture import STANDING_UNCERTAINTY_DEG, turned
from processing.alignment.history import AlignmentHistory, aged_uncertainty_deg
from processing.alignment.static import Alignment, Mount, align, record
from processing.rules.study import Study
from processing.types import GRAVITY_MPS2, NS_PER_S, TimedBatch
from sensor_gateway.alignments.history import read_history
from sensor_gateway.alignments.stated import AUTO, Stated
from sensor_gateway.config import Sensor
from sensor_gateway.recording.alignment import Neutral, align_recording
from sensor_gateway.recording.files import RecordingError
from sensor_gateway.recording.recording import Recording
from sensor_gateway.replay.correct_alignment import CorrectionError, with_mount, with_pose
from sensor_gateway.replay.journal_samples import JournalSamples, span_of
from sensor_gateway.replay.rederive import SpoolReader, derive_until, recipe_of
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.journal import JournalReader

SEARCHED_S = 8 * 3600
"""So much of the journal is searched at most, from where the entry holds until the clip was worn otherwise: a working day has walks
enough, and it fits into memory."""
_BEFORE_NS = 30 * NS_PER_S
"""Of samples before a movement, in which the filter levels itself."""
_MARGIN_NS = 120 * NS_PER_S
"""How much later than it was measured a sample may have arrived."""

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Used:
    """From ``since_utc_ns`` (0: the sensor's first sample) ``alignment`` holds, as ``entry`` asks for."""

    since_utc_ns: int
    alignment: Alignment
    entry: Stated


def resolve(
    entries: Sequence[Stated],
    spool: SpoolReader,
    sensor: Sensor,
    study: Study,
    live: AlignmentHistory,
    progress: Progress | None = None,
) -> list[Used]:
    """What the entries put in force on ``sensor``, in the order of time. ``live``: its history as stored.

    Raises `CorrectionError` or `processing.alignment.static.AlignmentError` with the reason and the remedy.
    """
    ids = {e.alignment.id: e.alignment for e in live.entries}
    mine = [e for e in entries if e.sensor == sensor.id]
    for entry in mine:
        for key, name in (("replaces", entry.replaces), ("same_as", entry.same_as)):
            if name and name not in ids:
                known = ", ".join(ids) or "none yet"
                raise CorrectionError(f"{sensor.id}: key '{key}': no alignment {name!r}; the gateway had {known}")
    dated = [(ids[e.replaces].t_utc_ns if e.replaces else e.since_utc_ns, e) for e in mine]
    dated.sort(key=lambda pair: pair[0])
    found: dict[int, Alignment] = {}
    for t, entry in dated:
        if t in found:
            raise CorrectionError(
                f"{sensor.id}: two entries hold from the same instant ({_named(entry)}); keep one of them"
            )
        before = _before(spool, sensor, study, live, found, t, ids.get(entry.replaces))
        begins = t or _first_received(spool, sensor)
        worn_otherwise = [e.alignment.t_utc_ns for e in live.entries if e.alignment.mount_id != before.mount_id]
        ends = [u for u in (*(u for u, _ in dated), *worn_otherwise) if u > t]
        until = min([begins + SEARCHED_S * NS_PER_S, *ends])
        try:
            found[t] = _one(entry, spool, sensor, study, before, ids, found, until, progress)
        except (CorrectionError, RecordingError, ValueError) as e:
            raise CorrectionError(f"{sensor.id}, entry {_named(entry)}: {e}") from None
    return [Used(t, found[t], entry) for t, entry in dated]


def _first_received(spool: SpoolReader, sensor: Sensor) -> int:
    """When the first block of this wearer was complete: its first sample is older by a minute or two."""
    start = span_of(spool, sensor.id, sensor.wearer).start
    sql = "SELECT min(last_rx_utc_ns) FROM journal WHERE sensor = ? AND last_seq >= ? AND last_rx_utc_ns > 0"
    return int(spool.query(sql, (sensor.id, start))[0][0] or 0)


def _named(entry: Stated) -> str:
    return f"replaces {entry.replaces}" if entry.replaces else f"since {entry.since or 'the first sample'}"


def _before(
    spool: SpoolReader,
    sensor: Sensor,
    study: Study,
    live: AlignmentHistory,
    found: dict[int, Alignment],
    t_utc_ns: int,
    replaced: Alignment | None,
) -> Alignment:
    """What holds at the instant without the entry, dated then: on which front or zero it rests."""
    nominal = recipe_of(sensor, study).setup.alignment
    if t_utc_ns == 0:
        return nominal
    if found:  # poses taken since rest on what the entries before have changed
        with closing(Store.in_memory()) as out:
            derive_until(spool, sensor, study, out, t_utc_ns, found)
            live, replaced = read_history(out, sensor.wearer, ()).of_sensor(sensor.id), None
    held = replaced
    if held is None:
        entry = live.in_force(t_utc_ns)
        held = nominal if entry is None else entry.alignment
    return held if held.t_utc_ns == t_utc_ns else replace(held, t_utc_ns=t_utc_ns)


def _one(
    entry: Stated,
    spool: SpoolReader,
    sensor: Sensor,
    study: Study,
    before: Alignment,
    ids: dict[str, Alignment],
    found: dict[int, Alignment],
    until_utc_ns: int,
    progress: Progress | None,
) -> Alignment:
    """The alignment that one entry puts in force at the time of ``before``."""
    t = before.t_utc_ns
    if entry.same_as:
        return _again(ids[entry.same_as], t)
    moved = entry.movement_utc_ns
    if moved is not None:
        base = _moved(entry.mount, _samples(spool, sensor, study, moved[0] - _BEFORE_NS, moved[1]), moved, before)
    elif AUTO not in (entry.mount, entry.neutral):
        base = with_mount(before, entry.mount) if entry.mount else before
    else:
        base = _searched(entry, _samples(spool, sensor, study, t, until_utc_ns), sensor, before)
    pose = entry.pose_utc_ns
    return base if pose is None else with_pose(spool, sensor, study, base, pose, found, progress)


def _again(other: Alignment, t_utc_ns: int) -> Alignment:
    """Another time's alignment from now on, as doubtful as it has become by then; itself where that is its own time."""
    if other.t_utc_ns == t_utc_ns:
        return other
    method = "static" if other.has_neutral else other.method
    doubt = aged_uncertainty_deg(other, t_utc_ns)
    return record(method, other.r_ps, doubt, mount_id=other.mount_id, t_utc_ns=t_utc_ns)


def _searched(entry: Stated, recording: Recording, sensor: Sensor, before: Alignment) -> Alignment:
    """Front by walking and zero by quiet standing, whichever is to be found; the other as stated, or as it was."""
    zero: Neutral = "auto" if entry.neutral == AUTO else None
    aligned = align_recording(recording, entry.mount or sensor.mount, zero)
    for what in ("mount", "neutral"):
        source = aligned.source[what]
        if source is not None and "not_found" in source:
            raise CorrectionError(f'{what} "auto": {source["not_found"]}; or state it, or begin elsewhere (since)')
    rows, t = aligned.alignment.r_ps, before.t_utc_ns
    if zero is None:
        return turned(before, rows[1], rows[0], "walking", t)
    front = rows[0] if entry.mount else before.r_ps[0]
    made = align(
        Mount(rows[1], front), GRAVITY_MPS2 * np.array(rows[1]), given=True, mount_id=before.mount_id, t_utc_ns=t
    )
    return replace(made, uncertainty_deg=STANDING_UNCERTAINTY_DEG)


def _moved(movement: str, recording: Recording, span: tuple[int, int], before: Alignment) -> Alignment:
    """Front by a guided movement in [from, to); zero stays where it was, if there is one."""
    t0, t1 = ((t - recording.zero_utc_ns) / NS_PER_S for t in span)
    rows = align_recording(recording, f"{movement}@{t0}:{t1}", None).alignment.r_ps
    return turned(before, rows[1], rows[0], "functional", before.t_utc_ns)


def _samples(spool: SpoolReader, sensor: Sensor, study: Study, from_ns: int, to_ns: int) -> Recording:
    """What the sensor measured in [from, to)."""
    recipe = recipe_of(sensor, study)
    span = _entries_between(spool, sensor, from_ns, to_ns)
    batches = [*_within(JournalSamples(JournalReader(spool), recipe, span).dated(), from_ns, to_ns)]
    if sum(map(len, batches)) < 2:
        raise CorrectionError("the journal holds no samples of that time; name another 'since'")
    t = np.concatenate([b.t_utc_ns for b in batches])
    acc, gyr = (np.concatenate([getattr(b, k) for b in batches]) for k in ("acc_mps2", "gyr_rps"))
    whole = np.isfinite(acc).all(axis=1) & np.isfinite(gyr).all(axis=1)
    t, acc, gyr = t[whole], acc[whole], gyr[whole]
    return Recording(t, acc, gyr, recipe.setup.rate_hz, int(t[0]), True, "journal", "", {}, ())


def _within(batches: Iterator[TimedBatch], from_ns: int, to_ns: int) -> Iterator[TimedBatch]:
    for batch in batches:
        lo, hi = np.searchsorted(batch.t_utc_ns, [from_ns, to_ns])
        if hi > lo:
            yield TimedBatch(batch.t_utc_ns[lo:hi], batch.acc_mps2[lo:hi], batch.gyr_rps[lo:hi])


def _entries_between(spool: SpoolReader, sensor: Sensor, from_ns: int, to_ns: int) -> range:
    """Journal entries in which a sample of [from, to) may lie, of this wearer."""
    span = span_of(spool, sensor.id, sensor.wearer)
    of = "FROM journal WHERE sensor = ? AND last_rx_utc_ns"
    first = spool.query(f"SELECT min(first_seq) {of} >= ?", (sensor.id, from_ns))[0][0]
    last = spool.query(f"SELECT min(last_seq) {of} >= ?", (sensor.id, to_ns + _MARGIN_NS))[0][0]
    start = span.stop if first is None else max(span.start, first)
    return range(start, span.stop if last is None else max(start, min(span.stop, last + 1)))
