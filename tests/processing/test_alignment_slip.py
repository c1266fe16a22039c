"""A moved clip is found by walking and by re-donning, pauses the rules, comes back by walking, and is never re-zeroed silently."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing import snapshot
from processing.alignment.gait_window import GaitWindow
from processing.alignment.mounts import PendingAlignments, SlipNote, effective_utc_ns, next_mount_id
from processing.alignment.realign import change_between, realigned
from processing.alignment.slip import SlipStage
from processing.alignment.static import record
from processing.synthetic import render
from processing.types import NS_PER_S, POSTURE_CODE, ContextBlock, SecondBlock
from tests.processing.alignment_chain import T0_NS, Run, neutral, recording, run
from tests.processing.bodies import part

RATE = 50.0
SLIP_S = 2400.0


def rotation(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    unit = np.array(axis) / np.linalg.norm(axis)
    return Rotation.from_rotvec(np.radians(degrees) * unit).as_matrix()


@pytest.fixture(scope="module")
def slipped() -> tuple[Run, np.ndarray]:
    """15 degrees of pitch after 40 minutes; the run, and the true tilt of its seconds."""
    script, batch = recording(1.6, seed=2, turn=rotation((0, 1, 0), 15.0), turn_from_s=SLIP_S)
    done = run(batch, RATE, neutral(batch, RATE))
    return done, render(script, done.second * NS_PER_S + NS_PER_S // 2).anterior_tilt_deg


def test_a_slip_starts_a_new_mount_with_wide_doubt_and_paused_rules(slipped: tuple[Run, np.ndarray]) -> None:
    done, _ = slipped
    first = done.notes[0]
    assert (first.kind, first.reason) == ("new_mount", "slip")
    assert first.up_deg == pytest.approx(15.0, abs=1.5)
    assert first.alignment is not None
    assert not first.alignment.has_neutral
    assert first.alignment.mount_id != "mount-1"
    assert first.alignment.uncertainty_deg == pytest.approx(15.1, abs=1.5)
    # Never a silent re-zero: the axes stay as they were until the clip is found again.
    assert first.alignment.r_ps == done.blocks[0][2].r_ps
    assert first.since_utc_ns < T0_NS + SLIP_S * NS_PER_S < first.found_utc_ns <= first.from_utc_ns
    assert json.loads(json.dumps(first.data()))["reason"] == "slip"


def test_walking_finds_the_clip_again_within_a_degree(slipped: tuple[Run, np.ndarray]) -> None:
    done, true_deg = slipped
    (again,) = [n for n in done.notes if n.kind == "realigned"]
    assert again.alignment is not None
    assert again.alignment.has_neutral
    assert again.alignment.mount_id == done.notes[0].alignment.mount_id
    assert again.alignment.uncertainty_deg == pytest.approx(4.0, abs=0.1)
    upright = np.isin(done.posture, [POSTURE_CODE["standing"], POSTURE_CODE["walking"]])
    error = done.tilt_deg - true_deg
    between = (done.second >= T0_NS // NS_PER_S + SLIP_S + 20) & (done.second < again.from_utc_ns // NS_PER_S)
    after = done.second >= again.from_utc_ns // NS_PER_S
    assert np.abs(np.median(error[upright & between])) > 13.0
    assert np.abs(np.median(error[upright & after])) < 1.0
    assert (upright & after).sum() > 300


@pytest.mark.parametrize(
    ("axis", "degrees"),
    [((0, 0, 1), -15.0), ((1, 1, 1), 15.0), ((1, 0, 0), 15.0), ((0, 1, 0), 180.0), ((1, 0, 0), 180.0)],
)
def test_slips_about_any_axis_upside_down_and_reversed(axis: tuple[float, float, float], degrees: float) -> None:
    script, batch = recording(1.0, seed=4, turn=rotation(axis, degrees), turn_from_s=900.0)
    done = run(batch, RATE, neutral(batch, RATE))
    assert [(n.kind, n.reason) for n in done.notes] == [("new_mount", "slip"), ("realigned", "walk")]
    true_deg = render(script, done.second * NS_PER_S + NS_PER_S // 2).anterior_tilt_deg
    after = (done.second >= done.notes[1].from_utc_ns // NS_PER_S) & (done.posture == POSTURE_CODE["standing"])
    assert after.sum() > 60
    assert np.abs(np.median((done.tilt_deg - true_deg)[after])) < 1.5


def test_a_day_without_a_slip_tells_of_none_and_of_each_time_off_the_body() -> None:
    script, batch = recording(3.0, seed=2)
    done = run(batch, RATE, neutral(batch, RATE))
    off = [a for a in script.activities if a.posture == "not_worn" and a.stop_utc_ns - a.start_utc_ns > 620 * NS_PER_S]
    mounts = [n for n in done.notes if n.kind == "new_mount"]
    assert len(off) == 1
    assert [n.reason for n in mounts] == ["taken_off"]
    assert abs(mounts[0].found_utc_ns - off[0].stop_utc_ns) < 10 * NS_PER_S
    assert [n.kind for n in done.notes] == ["new_mount", "realigned"]


def test_a_redonned_clip_8_degrees_off_is_right_within_3_after_a_walk() -> None:
    # The clip comes off once in this script; it is put on again turned.
    script, batch = recording(3.0, seed=2)
    (off,) = [a for a in script.activities if a.posture == "not_worn"]
    back_s = (off.stop_utc_ns - T0_NS) / NS_PER_S - 300.0
    script, batch = recording(3.0, seed=2, turn=rotation((0, 1, 0), 8.0), turn_from_s=back_s)
    done = run(batch, RATE, neutral(batch, RATE))
    again = done.notes[-1]
    assert again.kind == "realigned"
    true_deg = render(script, done.second * NS_PER_S + NS_PER_S // 2).anterior_tilt_deg
    after = (done.second >= again.from_utc_ns // NS_PER_S) & (done.posture == POSTURE_CODE["standing"])
    assert after.sum() > 60
    assert np.abs(np.median((done.tilt_deg - true_deg)[after])) < 3.0


@pytest.mark.parametrize("seed", range(3))
def test_findings_do_not_depend_on_grouping_or_on_restarts(seed: int, slipped: tuple[Run, np.ndarray]) -> None:
    done, _ = slipped
    rng = np.random.default_rng(seed)
    stage, notes = SlipStage(), []
    for block, context, alignment in done.blocks:
        m = len(block.second)
        bounds = (
            [0, *np.sort(rng.choice(np.arange(1, m), rng.integers(0, 4), replace=False)).tolist(), m]
            if m > 8
            else [0, m]
        )
        for a, b in zip(bounds[:-1], bounds[1:], strict=True):
            judged = ContextBlock(context.posture[a:b], context.confidence[a:b])
            notes += stage.update(part(block, a, b), judged, alignment)
            if rng.random() < 0.3:
                blob, stage = snapshot.dump(stage.snapshot()), SlipStage()
                stage.restore(snapshot.load(blob))
    assert notes == done.notes


@pytest.mark.parametrize("chunk_s", [1, 47])
def test_the_chain_gives_the_same_whatever_the_chunks(chunk_s: int) -> None:
    _, batch = recording(0.75, seed=4, turn=rotation((0, 1, 0), 15.0), turn_from_s=600.0)
    whole = run(batch, RATE, neutral(batch, RATE), chunk_s=60)
    cut_up = run(batch, RATE, neutral(batch, RATE), chunk_s=chunk_s)
    assert whole.notes
    assert cut_up.notes == whole.notes
    np.testing.assert_array_equal(cut_up.tilt_deg, whole.tilt_deg)


def seconds(up: np.ndarray, turn_dps: float, first: int, n: int, *, gap: bool = False) -> SecondBlock:
    """n seconds at 25 Hz with a given up in pelvis axes and a rate of turn across it."""
    rows = n * 25
    t = first * NS_PER_S + np.arange(rows) * (NS_PER_S // 25)
    ups = np.tile(up, (rows, 1))
    across = np.cross(up, [0.3, 0.2, 0.9])
    gyr = np.tile(np.radians(turn_dps) * across / np.linalg.norm(across), (rows, 1))
    none = np.zeros(rows)
    gap_before = np.zeros(n, dtype=bool)
    gap_before[0] = gap
    return SecondBlock(
        first + np.arange(n),
        np.arange(n + 1) * 25,
        t,
        9.8 * ups,
        gyr,
        ups,
        none,
        none,
        none,
        none == 0,
        gap_before,
        25.0,
    )


def context(n: int, posture: str) -> ContextBlock:
    return ContextBlock(np.full(n, POSTURE_CODE[posture], dtype=np.int8), np.full(n, 0.9))


UP, SIDE = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])
NEUTRAL = record("static", ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), 2.0, mount_id="mount-1", t_utc_ns=0)


@pytest.mark.parametrize(("pause_s", "after", "found"), [(500, SIDE, []), (700, UP, []), (700, SIDE, ["gap"])])
def test_away_for_long_and_back_at_another_angle_is_a_new_mount(
    pause_s: int, after: np.ndarray, found: list[str]
) -> None:
    stage = SlipStage()
    notes = stage.update(seconds(UP, 1.0, 0, 60), context(60, "standing"), NEUTRAL)
    notes += stage.update(seconds(after, 1.0, 60 + pause_s, 60, gap=True), context(60, "sitting"), NEUTRAL)
    assert [n.reason for n in notes] == found


@pytest.mark.parametrize(
    ("fast_s", "posture", "found"), [(3, "unknown", 0), (8, "unknown", 1), (60, "unknown", 1), (60, "walking", 0)]
)
def test_a_clip_turned_over_and_over_in_a_hand_is_a_new_mount_once(fast_s: int, posture: str, found: int) -> None:
    stage = SlipStage()
    notes = stage.update(seconds(UP, 5.0, 0, 30), context(30, "standing"), NEUTRAL)
    notes += stage.update(seconds(UP, 90.0, 30, fast_s), context(fast_s, posture), NEUTRAL)
    notes += stage.update(seconds(UP, 5.0, 30 + fast_s, 30), context(30, "standing"), NEUTRAL)
    assert [n.reason for n in notes] == ["handled"] * found


def test_what_happened_before_the_neutral_pose_does_not_matter() -> None:
    later = record("static", NEUTRAL.r_ps, 2.0, mount_id="mount-1", t_utc_ns=60 * NS_PER_S)
    hand, quiet = (seconds(UP, 90.0, 20, 30), seconds(UP, 5.0, 50, 60))
    for alignment, found in ((NEUTRAL, 1), (later, 0)):
        stage = SlipStage()
        notes = stage.update(hand, context(30, "unknown"), alignment)
        notes += stage.update(quiet, context(60, "standing"), alignment)
        assert len(notes) == found


def test_without_a_walk_before_the_neutral_pose_is_asked_for(slipped: tuple[Run, np.ndarray]) -> None:
    done, _ = slipped
    stage, notes = SlipStage(), []
    for i, (block, judged, _) in enumerate(done.blocks):
        posture = judged.posture
        if block.second[0] < T0_NS // NS_PER_S + 900:
            posture = np.where(posture == POSTURE_CODE["walking"], POSTURE_CODE["standing"], posture)
        if i == 3:
            posture = np.full_like(posture, POSTURE_CODE["not_worn"])
        notes += stage.update(block, replace(judged, posture=posture), NEUTRAL)
    assert [n.kind for n in notes] == ["new_mount", "refused"]
    assert "neutral pose" in notes[1].remedy
    assert notes[1].alignment is None


def test_a_new_neutral_pose_starts_afresh(slipped: tuple[Run, np.ndarray]) -> None:
    done, _ = slipped
    stage, notes = SlipStage(), []
    slip_second = T0_NS // NS_PER_S + int(SLIP_S)
    fresh = record("static", NEUTRAL.r_ps, 2.0, mount_id="mount-1", t_utc_ns=(slip_second + 60) * NS_PER_S)
    for block, judged, _ in done.blocks:
        late = block.second[0] >= slip_second + 60
        if block.second[-1] < done.notes[0].from_utc_ns // NS_PER_S:
            notes += stage.update(block, judged, fresh if late else NEUTRAL)
    assert notes == []


def test_findings_wait_for_a_minute_that_no_chunk_can_miss() -> None:
    for second in (119, 120, 178, 179, 180):
        effective = effective_utc_ns(second) // NS_PER_S
        assert effective % 60 == 0
        assert 1 <= effective - second - 1 <= 60
    pending = PendingAlignments()
    times = np.arange(0, 200) * NS_PER_S
    assert pending.cut_at(times) is None
    at_minute = record("suspended", NEUTRAL.r_ps, 15.0, mount_id="mount-2", t_utc_ns=120 * NS_PER_S)
    (note,) = [replace(n, alignment=at_minute) for n in [_any_note()]]
    pending.add([note, replace(note, alignment=None)])
    assert pending.cut_at(times[:100]) is None
    again = PendingAlignments()
    again.restore(json.loads(json.dumps(pending.snapshot())))
    assert again.cut_at(times) == 120
    assert again.take() == at_minute
    assert again.cut_at(times) is None
    pending.clear()
    assert pending.cut_at(times) is None


def _any_note() -> SlipNote:
    stage = SlipStage()
    notes = stage.update(seconds(UP, 90.0, 0, 10), context(10, "unknown"), NEUTRAL)
    return notes[0]


def test_mount_ids_follow_from_history() -> None:
    assert next_mount_id("mount-1", 5) == next_mount_id("mount-1", 5)
    assert len({next_mount_id(m, t) for m in ("mount-1", "mount-2") for t in (5, 6)}) == 4


def test_an_alignment_without_neutral_gains_none_by_walking() -> None:
    nominal = record("nominal", NEUTRAL.r_ps, 10.0, mount_id="mount-1", t_utc_ns=0)
    walk = [
        GaitWindow(s, (0.0, 1.0, 0.0), 1.8, (0.8, 0.0, -0.8, 0.0, 0.0, 0.0), 4.0, (0.9, 0.0, 0.0), (0.0, 0.0, -1.0))
        for s in range(0, 40, 2)
    ]
    found = realigned(nominal, walk, walk, mount_id="mount-2", t_utc_ns=60)
    assert not isinstance(found, str)
    assert found.method == "walking"
    assert not found.has_neutral
    assert change_between(walk, walk).up_deg == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(found.r_ps, nominal.r_ps, atol=1e-9)
    assert isinstance(realigned(nominal, [], walk, mount_id="m", t_utc_ns=0), str)
