"""Looking back, a slipped or re-donned clip is right from where it began to sit so, and says what it does not know."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.alignment.mounts import SlipNote
from processing.alignment.static import record
from processing.batch import ProcessResult, blocks, process_recording, whole_blocks
from processing.core import CoreSetup
from processing.gaps import Filled
from processing.mount_search import MountChange, backdated, find_mounts
from processing.orientation.causal import Oriented
from processing.rules.study import Study
from processing.synthetic import render
from processing.types import GRAVITY_MPS2, NS_PER_S, Event, Metric, TimedBatch
from processing.wearing import holding
from tests.processing.alignment_chain import T0_NS, joined, neutral, recording

RATE = 50.0
SLIP_S = 2400
DEG = 15.0

IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def pitch(degrees: float) -> np.ndarray:
    return Rotation.from_rotvec(np.radians(degrees) * np.array([0.0, 1.0, 0.0])).as_matrix()


def looked_back(batch: TimedBatch) -> tuple[list[MountChange], ProcessResult]:
    setup = CoreSetup("w", "s", RATE, neutral(batch, RATE))
    found = find_mounts(blocks(batch), RATE, setup.alignment)
    return found, process_recording(blocks(batch), setup, Study(), "retro", mounts=found)


@pytest.fixture(scope="module")
def slipped() -> tuple[list[MountChange], list[Metric], np.ndarray, list[Event]]:
    """A clip that turns by 15 degrees after 40 minutes: what was found, the metrics, their error, the events."""
    script, batch = recording(1.6, seed=2, turn=pitch(DEG), turn_from_s=SLIP_S)
    found, result = looked_back(batch)
    metrics = [r for r in result.records if isinstance(r, Metric) and r.anterior_tilt_deg is not None]
    t = np.array([m.t_utc_ns for m in metrics]) + NS_PER_S // 2
    error = np.array([m.anterior_tilt_deg for m in metrics]) - render(script, t).anterior_tilt_deg
    return found, metrics, error, [r for r in result.records if isinstance(r, Event)]


@pytest.mark.slow
def test_after_a_slip_the_tilt_is_right_from_the_first_walk_on_and_wide_in_between(
    slipped: tuple[list[MountChange], list[Metric], np.ndarray, list[Event]],
) -> None:
    found, metrics, error, _ = slipped
    doubt, again = found
    assert (doubt.note.kind, doubt.note.reason, again.note.kind) == ("new_mount", "slip", "realigned")
    assert doubt.t_utc_ns <= T0_NS + SLIP_S * NS_PER_S <= again.t_utc_ns < again.note.found_utc_ns
    t = np.array([m.t_utc_ns for m in metrics])
    on_feet = np.array([m.posture in ("standing", "walking") for m in metrics])
    u = np.array([m.tilt_uncertainty_deg for m in metrics])
    before, after = on_feet & (t < doubt.t_utc_ns), on_feet & (t >= again.t_utc_ns)
    assert after.sum() > 600
    assert abs(np.median(error[before])) < 1.0
    assert abs(np.median(error[after])) < 1.0
    between = (t >= doubt.t_utc_ns) & (t < again.t_utc_ns)
    assert u[between].min() > 14.0
    assert 3.5 < np.median(u[after]) < 6.0
    assert np.median(u[before]) < 3.5


@pytest.mark.slow
def test_the_events_tell_of_the_slip_once_and_of_both_alignments(
    slipped: tuple[list[MountChange], list[Metric], np.ndarray, list[Event]],
) -> None:
    found, _, _, events = slipped
    (mount,) = [e for e in events if e.type == "mount"]
    assert mount.data["reason"] == "slip"
    assert mount.t_utc_ns == found[0].t_utc_ns
    in_force = [e.data["method"] for e in events if e.type == "alignment" and e.data.get("outcome") == "in force"]
    assert in_force == ["static", "suspended", "realigned"]


@pytest.mark.slow
def test_a_clip_taken_off_and_put_on_at_another_angle_is_right_from_the_first_second() -> None:
    script, batch = recording(1.6, seed=2, turn=pitch(DEG), turn_from_s=SLIP_S)
    at = T0_NS + SLIP_S * NS_PER_S
    cut = int(np.searchsorted(batch.t_utc_ns, at))
    n = round(900 * RATE)
    rng = np.random.default_rng(1)
    table = TimedBatch(
        at + (np.arange(n) * (NS_PER_S / RATE)).astype(np.int64),
        np.array([0.3, 0.2, GRAVITY_MPS2]) + rng.normal(0.0, 0.02, (n, 3)),
        rng.normal(0.0, 0.0015, (n, 3)),
    )
    away = 900 * NS_PER_S
    head = TimedBatch(batch.t_utc_ns[:cut], batch.acc_mps2[:cut], batch.gyr_rps[:cut])
    tail = TimedBatch(batch.t_utc_ns[cut:] + away, batch.acc_mps2[cut:], batch.gyr_rps[cut:])
    found, result = looked_back(joined([head, table, tail]))
    off, again = found[-2:]
    assert (off.note.reason, off.note.alignment, again.note.kind) == ("taken_off", None, "realigned")
    assert off.t_utc_ns == again.t_utc_ns
    assert abs(again.t_utc_ns - (at + away)) < 5 * NS_PER_S
    metrics = [r for r in result.records if isinstance(r, Metric) and r.t_utc_ns >= again.t_utc_ns + 5 * NS_PER_S]
    kept = [m for m in metrics if m.anterior_tilt_deg is not None and m.posture in ("standing", "walking")]
    t = np.array([m.t_utc_ns for m in kept]) - away + NS_PER_S // 2
    error = np.array([m.anterior_tilt_deg for m in kept]) - render(script, t).anterior_tilt_deg
    assert len(kept) > 600
    assert abs(np.median(error)) < 1.5


def test_findings_never_reach_back_before_the_one_they_follow() -> None:
    start = record("static", IDENTITY, 2.0, mount_id="m1", t_utc_ns=100 * NS_PER_S + 5)
    new = record("suspended", IDENTITY, 15.0, mount_id="m2", t_utc_ns=600 * NS_PER_S)
    slip = SlipNote("new_mount", "slip", 500 * NS_PER_S, 0, 600 * NS_PER_S, new, 15.0, 0.0)
    handled = replace(slip, reason="handled", found_utc_ns=700 * NS_PER_S, since_utc_ns=699 * NS_PER_S)
    found = backdated([slip, handled], start)
    assert [f.t_utc_ns for f in found] == [101 * NS_PER_S, 699 * NS_PER_S]
    assert all(f.note.alignment is not None and f.note.alignment.t_utc_ns == f.t_utc_ns for f in found)
    # A walk that shows the clip again after it was handled holds from the handling on.
    walk = SlipNote(
        "realigned", "walk", 900 * NS_PER_S, 800 * NS_PER_S, 960 * NS_PER_S, replace(new, method="realigned")
    )
    again = backdated([slip, handled, walk], start)
    assert [f.t_utc_ns for f in again] == [101 * NS_PER_S, 699 * NS_PER_S, 699 * NS_PER_S]
    assert [f.note.alignment is None for f in again] == [False, True, False]
    refused = SlipNote("refused", "unclear_walk", 900 * NS_PER_S, 800 * NS_PER_S, 960 * NS_PER_S, None)
    assert backdated([refused], start)[0].t_utc_ns == 900 * NS_PER_S


def test_a_pose_taken_in_between_bounds_what_is_found_after_it() -> None:
    start = record("static", IDENTITY, 2.0, mount_id="m1", t_utc_ns=100 * NS_PER_S)
    new = record("suspended", IDENTITY, 15.0, mount_id="m2", t_utc_ns=600 * NS_PER_S)
    before = SlipNote("new_mount", "slip", 500 * NS_PER_S, 200 * NS_PER_S, 600 * NS_PER_S, new)
    after = replace(before, found_utc_ns=900 * NS_PER_S, from_utc_ns=960 * NS_PER_S)
    found = backdated([before, after], start, [700 * NS_PER_S + 5])
    assert [f.t_utc_ns for f in found] == [200 * NS_PER_S, 701 * NS_PER_S]


def test_samples_are_cut_where_a_known_alignment_begins_to_hold() -> None:
    t = np.arange(0, 4 * NS_PER_S, NS_PER_S // 10)
    part = Oriented(Filled(t, np.zeros((40, 3)), np.zeros((40, 3)), None, [], []), np.zeros((40, 4)))
    a, b, c = (record("static", IDENTITY, 2.0, mount_id=m, t_utc_ns=0) for m in "abc")
    waiting = [(NS_PER_S, a), (NS_PER_S + NS_PER_S // 2, b), (9 * NS_PER_S, c)]
    found = [(len(p.q_es), new, complete) for p, new, complete in holding(part, waiting)]
    # Only at the full second is the second before complete; what lies beyond the samples waits.
    assert found == [(10, None, False), (5, a, True), (25, b, False)]
    assert waiting == [(9 * NS_PER_S, c)]


def test_blocks_do_not_depend_on_how_a_recording_is_chunked() -> None:
    t = np.arange(0, 200 * NS_PER_S, NS_PER_S // 10)
    t = t[(t < 70 * NS_PER_S) | (t >= 130 * NS_PER_S)]
    whole = TimedBatch(t, np.zeros((len(t), 3)), np.zeros((len(t), 3)))
    cuts = [0, 3, 3, 599, 600, 640, 1000, len(t)]
    chunks = [TimedBatch(t[a:b], whole.acc_mps2[a:b], whole.gyr_rps[a:b]) for a, b in pairwise(cuts)]
    expected = [p.t_utc_ns.tolist() for p in blocks(whole, 60)]
    assert [p.t_utc_ns.tolist() for p in whole_blocks(chunks, 60)] == expected
    assert len(expected) == 4
