"""Streaming equals batch: any chunking, any snapshot and restore, and a new process give bit-identical results."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.alignment.static import align, parse_mount
from processing.core import Estimate
from processing.pipeline import Pipeline, StreamSetup
from processing.rules.study import Study, TiltRule
from processing.types import NS_PER_S, ClockSpec, Event, ImuBatch, Record, TimedBatch
from tests.processing.alignment_chain import recording

MOUNT = "up=+x,anterior=-z"
NEUTRAL = np.array([9.7, 0.1, 1.0])
# Short times so that a few minutes hold episodes, flags and suppressions.
STUDY = Study(
    tilt=TiltRule(
        on_s=20,
        off_s=10,
        sustained_s=30,
        dose_deg_min=2.0,
        dose_rearm_deg_min=1.0,
        min_coverage=0.5,
        min_confidence=0.1,
    )
)


def pipeline(rate_hz: float, neutral: np.ndarray | None, estimate: Estimate = "online") -> Pipeline:
    alignment = align(parse_mount(MOUNT), neutral, given=True, mount_id="m", t_utc_ns=0)
    setup = StreamSetup("w-1", "s-1", ClockSpec(1, None, absolute=True), None, rate_hz, alignment, estimate)
    return Pipeline(setup, STUDY)


def synthetic(seconds: int, rate_hz: float, seed: int) -> TimedBatch:
    """Slow sway, some walking-like shaking, holes of all sizes, and values that are not finite."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate_hz)
    t = np.arange(n) / rate_hz
    tilt = np.radians(8 + 6 * np.sin(t / 40))
    acc = 9.81 * np.column_stack([np.cos(tilt), np.zeros(n), np.sin(tilt)]) + rng.normal(0, 0.05, (n, 3))
    walking = (t // 60) % 2 == 1
    acc[walking, 0] += 2.5 * np.sin(2 * np.pi * 1.8 * t[walking])
    gyr = np.column_stack([np.zeros(n), np.gradient(tilt, 1 / rate_hz), np.zeros(n)]) + rng.normal(0, 0.01, (n, 3))
    keep = np.ones(n, dtype=bool)
    for length in (1, 3, 8, 40, 150, 1300):
        at = rng.integers(0, n - length)
        keep[at : at + length] = False
    acc[rng.integers(0, n, 5), 1] = np.nan
    gyr[rng.integers(0, n, 3), 2] = np.inf
    start = 1_790_000_000_123_456_789
    t_ns = start + np.round(t * 1e9).astype(np.int64)
    return TimedBatch(t_ns[keep], acc[keep], gyr[keep])


def batches(timed: TimedBatch, cuts: list[int]) -> list[ImuBatch]:
    """The recording as a driver would hand it over, cut anywhere."""
    edges = [0, *sorted({c for c in cuts if 0 < c < len(timed)}), len(timed)]
    out = []
    for lo, hi in zip(edges[:-1], edges[1:], strict=True):
        t = timed.t_utc_ns[lo:hi]
        out.append(ImuBatch(t, None, int(t[-1]), int(t[-1]), timed.acc_mps2[lo:hi], timed.gyr_rps[lo:hi]))
    return out


def digest(records: list[Record], arrays: list[np.ndarray]) -> str:
    h = hashlib.sha256()
    for r in records:
        h.update(json.dumps([type(r).__name__, asdict(r)], sort_keys=True).encode())
    for a in arrays:
        h.update(np.ascontiguousarray(a).tobytes())
    return h.hexdigest()


def run(
    pieces: list[list[ImuBatch]],
    rate_hz: float,
    restart_after: set[int],
    estimate: Estimate = "online",
    *,
    samples: bool = True,
) -> tuple[str, int]:
    p = pipeline(rate_hz, NEUTRAL, estimate)
    records: list[Record] = []
    rows: list[list[np.ndarray]] = [[], [], [], [], []]
    for i, piece in enumerate(pieces):
        out = p.update(piece)
        assert out.first_ordinal == len(records)
        records += out.records
        if out.samples is not None:
            s = out.samples
            for column, a in zip(
                rows, (s.t_utc_ns, s.q_es, s.anterior_tilt_deg, s.obliquity_deg, s.valid), strict=True
            ):
                column.append(a)
        if i in restart_after:
            blob = p.snapshot()
            p = pipeline(rate_hz, NEUTRAL, estimate)
            p.restore(blob)
    records += p.finish().records
    return digest(records, [np.concatenate(c) for c in rows] if samples else []), len(records)


def everything_at_once(timed: TimedBatch, rate_hz: float, estimate: Estimate = "online") -> tuple[str, int]:
    return run([batches(timed, [])], rate_hz, set(), estimate)


SYNTHETIC = synthetic(480, 50.0, seed=7)


ESTIMATES: tuple[Estimate, ...] = ("online", "settled")


@pytest.fixture(scope="module")
def synthetic_whole() -> dict[Estimate, tuple[str, int]]:
    return {estimate: everything_at_once(SYNTHETIC, 50.0, estimate) for estimate in ESTIMATES}


def test_the_synthetic_recording_exercises_the_rules() -> None:
    p = pipeline(50.0, NEUTRAL)
    records = p.update(batches(SYNTHETIC, [])).records + p.finish().records
    kinds = {r.type for r in records if type(r).__name__ == "Event"}
    assert {"gap", "alignment"} <= kinds
    assert sum(type(r).__name__ == "Metric" for r in records) > 400
    assert any(type(r).__name__ == "Epoch" for r in records)


@pytest.mark.parametrize("estimate", ESTIMATES)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_chunking_and_any_restart_give_the_same_bits(
    synthetic_whole: dict[Estimate, tuple[str, int]], estimate: Estimate, data: st.DataObject
) -> None:
    n = len(SYNTHETIC)
    cuts = data.draw(st.lists(st.integers(1, n - 1), min_size=1, max_size=60))
    made = batches(SYNTHETIC, cuts)
    groups = data.draw(st.lists(st.integers(1, 8), min_size=1, max_size=len(made)))
    pieces, i = [], 0
    for size in [*groups, len(made)]:
        pieces.append(made[i : i + size])
        i += size
    restarts = data.draw(st.sets(st.integers(0, len(pieces) - 1), max_size=5))
    assert run(pieces, 50.0, restarts, estimate) == synthetic_whole[estimate]


def test_sample_by_sample_gives_the_same_bits() -> None:
    part = TimedBatch(SYNTHETIC.t_utc_ns[:3000], SYNTHETIC.acc_mps2[:3000], SYNTHETIC.gyr_rps[:3000])
    single = batches(part, list(range(1, 3000)))
    assert run([[b] for b in single], 50.0, {100, 1777}) == everything_at_once(part, 50.0)


def slipped() -> tuple[TimedBatch, list[Event]]:
    """A clip that turns by 15° after a quarter of an hour, and what is told of it."""
    c, s = np.cos(np.radians(15.0)), np.sin(np.radians(15.0))
    _, timed = recording(0.8, seed=2, turn=np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), turn_from_s=900.0)
    return timed, told(timed)


def told(timed: TimedBatch) -> list[Event]:
    p = pipeline(50.0, NEUTRAL)
    records = p.update(batches(timed, [])).records + p.finish().records
    return [r for r in records if isinstance(r, Event) and r.type in ("mount", "alignment")]


@pytest.mark.slow
def test_a_slip_changes_the_alignment_at_a_full_minute_whatever_the_chunks() -> None:
    timed, events = slipped()
    start, moved, suspended, found, again = events
    assert [e.data.get("kind") or e.data["method"] for e in events] == [
        "static",
        "new_mount",
        "suspended",
        "realigned",
        "realigned",
    ]
    assert suspended.data["mount_id"] == moved.data["mount_id"] == again.data["mount_id"] != start.data["mount_id"]
    assert suspended.t_utc_ns == moved.data["from_utc_ns"]
    assert again.t_utc_ns == found.data["from_utc_ns"]
    assert again.t_utc_ns % (60 * NS_PER_S) == suspended.t_utc_ns % (60 * NS_PER_S) == 0
    # A hole from the very second that settled it to beyond the minute: the finding still takes effect at that minute.
    t = timed.t_utc_ns
    for note in (moved, found):
        hole = (t >= note.data["found_utc_ns"]) & (t < note.data["from_utc_ns"] + 3 * NS_PER_S)
        holed = TimedBatch(t[~hole], timed.acc_mps2[~hole], timed.gyr_rps[~hole])
        after = [e for e in told(holed) if e.data.get("outcome") == "in force" and e.t_utc_ns >= note.t_utc_ns]
        assert after[0].t_utc_ns == note.data["from_utc_ns"]
        rng = np.random.default_rng(3)
        for estimate in ESTIMATES:
            # What the eye sees of a settled stream is ahead of its records: it stands on the alignment known by then.
            eye = estimate == "online"
            whole = run([batches(holed, [])], 50.0, set(), estimate, samples=eye)
            for cuts in (np.flatnonzero(np.diff(holed.t_utc_ns // NS_PER_S)) + 1, rng.integers(1, len(holed), 40)):
                pieces = [[b] for b in batches(holed, cuts.tolist())]
                restarts = set(rng.integers(0, len(pieces), 6).tolist())
                assert run(pieces, 50.0, restarts, estimate, samples=eye) == whole


REAL = ["neura_pelvis/S02_walk1.parquet", "ipol_l5_gait/s03_t1.parquet", "hapt/exp05_user03.parquet"]


def real(path: Path) -> tuple[TimedBatch, float]:
    table = pq.read_table(path)
    column = {c: table[c].to_numpy().astype(np.float64) for c in ("t_s", "ax", "ay", "az", "gx", "gy", "gz")}
    t = 1_790_000_000_000_000_000 + np.round(column["t_s"] * 1e9).astype(np.int64)
    acc = np.column_stack([column[c] for c in ("ax", "ay", "az")])
    gyr = np.column_stack([column[c] for c in ("gx", "gy", "gz")])
    return TimedBatch(t, acc, gyr), round(1e9 / float(np.median(np.diff(t))), 3)


@pytest.mark.reference
@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize("name", REAL)
def test_real_recordings_in_random_pieces_give_the_same_bits(reference: Path, name: str, estimate: Estimate) -> None:
    timed, rate = real(reference / name)
    whole = everything_at_once(timed, rate, estimate)
    rng = np.random.default_rng(11)
    for _ in range(3):
        made = batches(timed, rng.integers(1, len(timed), 40).tolist())
        pieces = [[b] for b in made]
        assert run(pieces, rate, set(rng.integers(0, len(pieces), 4).tolist()), estimate) == whole


_CHILD = """
from pathlib import Path
import sys
from tests.processing.test_streaming import NEUTRAL, digest, halves, pipeline
_, rest, rate = halves(sys.argv[2])
p = pipeline(rate, NEUTRAL)
p.restore(Path(sys.argv[1]).read_bytes())
print(digest(p.update(rest).records + p.finish().records, []))
"""


def halves(recording: str) -> tuple[list[ImuBatch], list[ImuBatch], float]:
    """What one process sees, what the next one sees, and the rate; an empty name is the synthetic recording."""
    timed, rate = real(Path(recording)) if recording else (SYNTHETIC, 50.0)
    made = batches(timed, [len(timed) * 2 // 5])
    return made[:1], made[1:], rate


def continued_by_a_new_process(recording: str, blob: Path) -> tuple[str, str]:
    """The second half's digest, computed on here and by a new process from the state alone."""
    first, rest, rate = halves(recording)
    p = pipeline(rate, NEUTRAL)
    p.update(first)
    blob.write_bytes(p.snapshot())
    here = digest(p.update(rest).records + p.finish().records, [])
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(blob), recording],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return here, child.stdout.strip()


def test_a_new_process_continues_with_the_same_bits(tmp_path: Path) -> None:
    here, there = continued_by_a_new_process("", tmp_path / "state")
    assert there == here


@pytest.mark.reference
@pytest.mark.parametrize("name", REAL)
def test_a_new_process_continues_a_real_recording(reference: Path, tmp_path: Path, name: str) -> None:
    here, there = continued_by_a_new_process(str((reference / name).resolve()), tmp_path / "state")
    assert there == here
