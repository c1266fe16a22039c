"""Posture on scripted bodies: what each movement must do to the context, and that grouping seconds changes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.context.params import ContextParams
from processing.context.references import SITTING, UPRIGHT, References, posture_density
from processing.context.retro import RetroContext
from processing.context.stage import ContextStage
from processing.snapshot import dump, load
from processing.types import POSTURES, ContextBlock, SecondBlock
from tests.processing.bodies import Body, part


def names(context: ContextBlock) -> list[str]:
    return [POSTURES[int(c)] for c in context.posture]


def share(got: list[str], a: int, b: int, wanted: str) -> float:
    return got[a:b].count(wanted) / (b - a)


def online(block: SecondBlock, **kw: bool) -> tuple[list[str], ContextStage]:
    stage = ContextStage(rate_hz=block.rate_hz, **kw)
    return names(stage.update(block)), stage


def retro(block: SecondBlock) -> tuple[list[str], RetroContext]:
    stage = RetroContext(rate_hz=block.rate_hz)
    stage.add(block)
    return names(stage.finish()[0]), stage


def an_office_hour(rate_hz: float = 100.0, **kw: object) -> Body:
    """Stand 10, walk 30, stand 10, sit 120, stand 20, walk 20, sit 60 (upright pelvis), lie 60."""
    body = Body(rate_hz=rate_hz, **kw)
    body.rest(10).walk(30).rest(9.5).sit_down().rest(118).stand_up().rest(18).walk(20).rest(3)
    body.sit_down(tilt_deg=-4.0).rest(57.0).lie_down(drop_m=0.1).rest(60)
    return body


@pytest.mark.parametrize("rate_hz", [25.0, 57.0, 100.0, 285.7])
def test_a_scripted_hour_is_read_as_scripted(rate_hz: float) -> None:
    got, stage = online(an_office_hour(rate_hz).block())
    assert share(got, 2, 10, "standing") == 1.0
    assert share(got, 12, 40, "walking") > 0.9
    assert share(got, 43, 49, "standing") == 1.0
    assert share(got, 54, 169, "sitting") == 1.0
    assert share(got, 174, 190, "standing") == 1.0
    assert share(got, 220, 270, "sitting") == 1.0
    assert share(got, 285, 330, "lying") == 1.0
    kinds = [t.kind for t in stage.take_transfers()]
    assert kinds == ["stand_to_sit", "sit_to_stand", "stand_to_sit", "sit_to_lie"]


def test_a_transfer_carries_time_duration_and_displacement() -> None:
    _, stage = online(Body().rest(12).sit_down(seconds=2.5, drop_m=0.4).rest(12).block())
    (transfer,) = stage.take_transfers()
    assert abs(transfer.t_utc_ns / 1e9 - 1_790_000_000 - 13.25) < 0.4
    assert 1.5 < transfer.duration_s < 3.0
    assert transfer.vertical_displacement_m == pytest.approx(-0.4, abs=0.05)


def test_an_accelerometer_offset_does_not_hide_sitting_down() -> None:
    body = Body(acc_offset_mps2=(0.35, 0.2, -0.1)).rest(12).sit_down(tilt_deg=-25.0).rest(12)
    _, stage = online(body.block())
    (transfer,) = stage.take_transfers()
    assert transfer.kind == "stand_to_sit"
    assert transfer.vertical_displacement_m == pytest.approx(-0.38, abs=0.08)


def test_a_stander_who_tucks_the_pelvis_is_not_silently_sitting() -> None:
    body = Body().rest(5).walk(20).rest(10).move(2.0, to_pitch_deg=-12.0, rise_m=0.0).rest(120)
    got, stage = online(body.block())
    assert "sitting" not in got
    assert stage.take_transfers() == []


def with_fidgets(body: Body, tilt_deg: float, minutes: int) -> Body:
    """Resting at about ``tilt_deg``, shifting by up to three degrees once in three quarters of a minute."""
    rng = np.random.default_rng(1)
    for _ in range(minutes * 60 // 45):
        body.rest(43).move(2.0, to_pitch_deg=tilt_deg + rng.uniform(-3.0, 3.0), rise_m=0.0)
    return body


@pytest.mark.parametrize("neutral_known", [False, True])
@pytest.mark.parametrize("tilt_deg", [-12.0, -17.0, -25.0])
def test_who_walked_and_stands_still_tucked_stands_however_long(tilt_deg: float, neutral_known: bool) -> None:
    """Stillness counts against standing sevenfold at most: it never outweighs steps seen just before."""
    body = Body(rate_hz=50.0).rest(5).walk(30).rest(10).move(2.0, to_pitch_deg=tilt_deg, rise_m=0.0)
    got, stage = online(with_fidgets(body, tilt_deg, 40).block(), neutral_known=neutral_known)
    assert "sitting" not in got
    assert stage.take_transfers() == []


def put_on_again(tilt_deg: float) -> Body:
    """Stood, took the clip off for a quarter of an hour, put it on and is at rest at once, without a movement seen."""
    body = Body(rate_hz=50.0).rest(20).move(3.0, to_pitch_deg=-88.0, rise_m=-0.2).rest(900, worn=False)
    return with_fidgets(body.move(4.0, to_pitch_deg=tilt_deg, rise_m=0.2), tilt_deg, 30)


@pytest.mark.parametrize("tilt_deg", [-18.0, -24.0])
def test_put_on_again_and_seated_at_once_is_unknown_then_sitting(tilt_deg: float) -> None:
    """Tilt alone does not decide; tilted back together with minutes without a step does, and says how sure it is."""
    stage = ContextStage(rate_hz=50.0, neutral_known=True)
    context = stage.update(put_on_again(tilt_deg).block())
    got = names(context)
    assert set(got[930:960]) == {"unknown"}
    assert share(got, 1230, 2700, "sitting") == 1.0
    assert 0.55 <= context.confidence[1230] < context.confidence[2600] < 0.9


def test_put_on_again_and_standing_tucked_stays_open() -> None:
    got, _ = online(put_on_again(-12.0).block(), neutral_known=True)
    assert set(got[930:]) <= {"standing", "unknown"}


def test_looking_back_the_rise_proves_that_it_was_sitting() -> None:
    block = put_on_again(-18.0).stand_up().rest(20).walk(30).rest(5).block()
    stage = RetroContext(rate_hz=50.0, neutral_known=True)
    stage.add(block)
    (context,) = stage.finish()
    assert share(names(context), 930, 2700, "sitting") == 1.0
    assert context.confidence[1000] > 0.8


def test_half_way_down_to_a_chair_is_no_rest() -> None:
    """The pelvis leans forward, turns back, and for half a second it hardly turns: yet it sinks all the while."""
    x = (np.arange(240) + 1) / 240
    smooth = x**3 * (10 - 15 * x + 6 * x * x)
    lean = np.where(x < 0.4, 14.0 * np.minimum(1.0, x / 0.3), 14.0 - 32.0 * np.clip((x - 0.6) / 0.4, 0.0, 1.0))
    body = Body().rest(20)
    body.pitch_deg.append(lean)
    body.height_m.append(0.9 - 0.4 * smooth)
    body.worn.append(np.ones(240))
    body._pitch, body._height = -18.0, 0.5
    got, stage = online(body.rest(30).block())
    assert [t.kind for t in stage.take_transfers()] == ["stand_to_sit"]
    assert share(got, 25, 50, "sitting") == 1.0


def test_sitting_with_an_upright_pelvis_is_sitting() -> None:
    got, _ = online(Body().rest(5).walk(20).rest(10).sit_down(tilt_deg=-1.0).rest(60).block())
    assert share(got, 40, 97, "sitting") == 1.0


def test_bending_and_coming_back_changes_nothing() -> None:
    body = Body().rest(5).walk(20).rest(10)
    for _ in range(4):
        body.move(1.5, to_pitch_deg=50.0, rise_m=-0.1).move(1.5, to_pitch_deg=0.0, rise_m=0.1).rest(10)
    got, stage = online(body.block())
    assert "sitting" not in got
    assert [t.kind for t in stage.take_transfers()] == []


@pytest.mark.parametrize("pitch", [-24.0, -35.0])
def test_nothing_is_forced_where_nothing_is_known(pitch: float) -> None:
    """A clip first seen in a tilt that a sitter or a stander may have, with no movement: unknown, not a guess."""
    stage = ContextStage(rate_hz=100.0, neutral_known=True)
    context = stage.update(Body(_pitch=pitch).rest(30).block())
    assert set(names(context)) == {"unknown"}
    assert np.all(context.confidence < 0.7)


def test_a_known_neutral_makes_a_small_tilt_from_it_standing() -> None:
    got, _ = online(Body(_pitch=-4.0).rest(20).block(), neutral_known=True)
    assert set(got) == {"standing"}


def test_a_neutral_taken_now_says_standing_now() -> None:
    block = Body(_pitch=-20.0).rest(30).stand_up(rise_m=0.0).rest(30).block()
    stage = ContextStage(rate_hz=100.0)
    stage.update(part(block, 0, 40))
    stage.neutral_taken()
    assert Counter(names(stage.update(part(block, 40, 60)))) == {"standing": 20}


def test_looking_back_reads_the_start_from_what_came_later() -> None:
    body = Body(_pitch=-12.0, _height=0.5).rest(30).stand_up().rest(20).walk(30).rest(5)
    got, stage = retro(body.block())
    assert share(got, 0, 30, "sitting") == 1.0
    assert share(got, 33, 52, "standing") == 1.0
    assert [t.kind for t in stage.transfers] == ["sit_to_stand"]


def test_walking_to_a_chair_and_sitting_down_without_a_pause() -> None:
    got, stage = online(Body().rest(8).walk(20).sit_down().rest(30).stand_up().walk(20).rest(5).block())
    assert share(got, 10, 27, "walking") == 1.0
    assert share(got, 33, 60, "sitting") == 1.0
    assert share(got, 66, 82, "walking") == 1.0
    assert got[-2:] == ["standing", "standing"]
    assert [t.kind for t in stage.take_transfers()] == ["stand_to_sit", "sit_to_stand"]


def test_running_is_told_from_walking_by_free_fall() -> None:
    got, _ = online(Body().rest(8).walk(20, cadence_hz=2.7, amplitude_m=0.05).rest(8).block())
    assert share(got, 11, 27, "running") == 1.0


def test_fast_walking_is_no_running() -> None:
    got, _ = online(Body().rest(8).walk(20, cadence_hz=2.3, amplitude_m=0.028).rest(8).block())
    assert share(got, 11, 27, "walking") == 1.0
    assert "running" not in got


def test_a_jog_without_free_fall_is_told_by_its_rate_and_swing() -> None:
    got, _ = online(Body().rest(8).walk(20, cadence_hz=2.7, amplitude_m=0.027).rest(8).block())
    assert share(got, 12, 27, "running") == 1.0


def test_shuffling_steps_amid_a_walk_are_walking_and_end_with_it() -> None:
    body = Body().rest(8).walk(26)
    t = np.arange(2600) / 100.0
    weaker = 1.0 - 0.82 * np.clip(np.minimum(t - 9.0, 17.0 - t), 0.0, 1.0)
    body.height_m[-1] = 0.9 + (body.height_m[-1] - 0.9) * weaker
    got, _ = online(body.rest(10).block())
    assert share(got, 10, 33, "walking") == 1.0
    assert "walking" not in got[35:]


def steps_to_a_chair(steps_s: float, drop_m: float) -> Body:
    """Up from a rest, a few steps, and down (or not) without a pause, then a rest."""
    body = Body().rest(8).walk(20).rest(8).walk(steps_s)
    if drop_m:
        return body.sit_down(seconds=2.0, drop_m=drop_m).rest(30).stand_up().rest(12)
    return body.rest(12)


@pytest.mark.parametrize("steps_s", [3.0, 4.0, 5.0])
def test_a_few_steps_and_down_are_measured_from_rest_to_rest(steps_s: float) -> None:
    block = steps_to_a_chair(steps_s, 0.38).block()
    _, live = online(block)
    _, back = retro(block)
    for found in (live.take_transfers(), back.transfers):
        assert [t.kind for t in found] == ["stand_to_sit", "sit_to_stand"]
        down = found[0]
        assert down.vertical_displacement_m == pytest.approx(-0.38, abs=0.12)
        assert abs(down.t_utc_ns / 1e9 - 1_790_000_000 - (36.0 + steps_s + 1.0)) < 1.0
        assert down.duration_s < 4.0


def test_a_few_steps_and_a_stand_change_nothing() -> None:
    block = steps_to_a_chair(4.0, 0.0).block()
    got, live = online(block)
    assert live.take_transfers() == []
    assert retro(block)[1].transfers == []
    assert share(got, 42, 52, "standing") == 1.0


def test_from_one_chair_over_three_steps_to_another_are_two_transfers() -> None:
    body = Body().rest(8).walk(20).rest(8).sit_down().rest(30).stand_up(seconds=1.8).walk(3.0).sit_down(seconds=1.8)
    _, back = retro(body.rest(30).block())
    assert [t.kind for t in back.transfers] == ["stand_to_sit", "sit_to_stand", "stand_to_sit"]


def test_minutes_of_walking_outweigh_whatever_was_thought_before() -> None:
    """A clip put down in haste looks like lying down from a chair; who walked before was not on one."""
    body = Body().rest(10).walk(300).rest(60).move(2.5, to_pitch_deg=-88.0, rise_m=-0.1).rest(60)
    got, _ = retro(body.block())
    assert share(got, 315, 365, "standing") == 1.0


def test_a_wearer_who_stands_otherwise_than_walks_is_known_to() -> None:
    """Tucked by 13 degrees at every stand: once seen standing up into it, that direction says standing."""
    refs, p = References(), ContextParams()
    refs.learn((0.0, 1.0, 0.0), 60.0, (0.0, 0.0, 1.0), walking=True)
    tucked = (float(np.sin(np.radians(13.0))), float(np.cos(np.radians(13.0))), 0.0)
    before = posture_density(tucked, refs, p)
    refs.learn(tucked, 20.0, (0.0, 0.1, 0.9), walking=False)
    after = posture_density(tucked, refs, p)
    assert after[UPRIGHT] / after[SITTING] > 2.0 * before[UPRIGHT] / before[SITTING]
    refs.loosen()
    assert posture_density(tucked, refs, p)[UPRIGHT] < after[UPRIGHT]


def climb(body: Body, seconds: float, climb_mps: float) -> Body:
    """Steps that gain height evenly, with a second to get up to speed and one to stop."""
    start = len(body.pitch_deg)
    body.walk(seconds, cadence_hz=1.5, amplitude_m=0.025)
    t = np.arange(len(body.height_m[start])) / body.rate_hz
    x = np.clip(np.minimum(t, t[-1] - t), 0.0, 1.0)
    gained = np.cumsum(climb_mps * x * x * (3 - 2 * x)) / body.rate_hz
    body.height_m[start] = body.height_m[start] + gained
    body._height += float(gained[-1])
    return body


@pytest.mark.parametrize(("climb_mps", "named_live"), [(0.28, 0), (-0.42, 3)])
def test_stairs_are_named_looking_back_where_the_rise_is_sure(climb_mps: float, named_live: int) -> None:
    body = climb(Body(acc_offset_mps2=(0.2, -0.1, 0.1)).rest(10), 12.0, climb_mps).rest(10).walk(12).rest(5)
    block = body.block()
    got, _ = retro(block)
    assert share(got, 12, 21, "stairs") == 1.0
    assert "stairs" not in got[24:]
    assert share(got, 34, 43, "walking") == 1.0
    live, _ = online(block)
    assert named_live <= live[10:23].count("stairs") <= 10
    assert "stairs" not in live[23:]


@pytest.mark.parametrize(("climb_mps", "offset"), [(0.0, 0.03), (0.05, 0.0), (-0.08, 0.0)])
def test_level_walks_are_no_stairs_whatever_drifts(climb_mps: float, offset: float) -> None:
    """A ramp, or an accelerometer that warms up by 3 mg between the rest and the walk."""
    block = climb(Body().rest(10), 20.0, climb_mps).rest(10).block()
    drift = np.where(block.t_utc_ns - block.t_utc_ns[0] > 10_000_000_000, offset, 0.0)
    block = replace(block, acc_up_mps2=block.acc_up_mps2 + drift)
    assert "stairs" not in online(block)[0]
    assert "stairs" not in retro(block)[0]


def test_rising_from_a_chair_into_the_first_step_is_no_stair() -> None:
    block = Body().rest(8).walk(12).rest(5).sit_down().rest(20).stand_up(seconds=1.6).walk(20).rest(6).block()
    assert "stairs" not in online(block)[0]
    assert "stairs" not in retro(block)[0]


def test_stairs_into_a_rest_are_named_looking_back() -> None:
    """From a long walk straight up a flight and to a halt: only the halt vouches for the speed."""
    block = climb(Body().rest(10).walk(40), 9.0, 0.33).rest(10).block()
    got, _ = retro(block)
    assert got[51:59].count("stairs") >= 3
    assert "stairs" not in got[:46]
    assert "stairs" not in online(block)[0]


@pytest.mark.parametrize("climb_mps", [0.28, -0.42])
def test_of_long_stairs_both_ends_vouch_for_what_lies_between(climb_mps: float) -> None:
    """Forty seconds of double integration vouch for no height, but the walk sets out and stops as on stairs."""
    got, _ = retro(climb(Body().rest(10), 40.0, climb_mps).rest(10).block())
    assert share(got, 12, 48, "stairs") == 1.0
    # Beyond a minute a corridor may lie between two flights.
    got, _ = retro(climb(Body().rest(10), 80.0, climb_mps).rest(10).block())
    assert "stairs" not in got[25:75]


@pytest.mark.parametrize("then_mps", [0.0, -0.28])
def test_one_end_on_stairs_does_not_vouch_for_the_other(then_mps: float) -> None:
    block = climb(climb(Body().rest(10), 20.0, 0.28), 20.0, then_mps).rest(10).block()
    got, _ = retro(block)
    assert "stairs" not in got[22:38]


def test_slow_steps_are_walking() -> None:
    got, _ = online(Body().rest(8).walk(30, cadence_hz=1.2, amplitude_m=0.013).rest(8).block())
    assert share(got, 12, 37, "walking") == 1.0


def test_a_long_hole_in_the_signal_leaves_posture_open() -> None:
    """Standing before; after twenty minutes without data and a pelvis half turned back nothing is certain."""
    block = Body().rest(10).walk(30).rest(1300).block()
    stage = ContextStage(rate_hz=100.0)
    stage.update(part(block, 0, 60))
    after = stage.update(part(block, 1260, 1330))
    assert float(after.confidence[-1]) < 0.97
    assert names(after)[-1] in {"standing", "unknown"}


def test_walking_shows_upright_even_on_a_clip_put_on_upside_down() -> None:
    block = Body().rest(8).walk(30).rest(20).sit_down().rest(60).stand_up().rest(20).block()
    flip = np.array([-1.0, -1.0, 1.0])
    turned = replace(
        block, acc_p_mps2=block.acc_p_mps2 * flip, gyr_p_rps=block.gyr_p_rps * flip, up_p=block.up_p * flip
    )
    got, _ = online(turned)
    assert share(got, 42, 57, "standing") == 1.0
    assert share(got, 64, 120, "sitting") == 1.0
    assert share(got, 126, 140, "standing") == 1.0


@settings(max_examples=25)
@given(st.data())
def test_grouping_and_restarts_change_no_bit(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 5)))
    keep = np.ones(an_office_hour(50.0).block().start[-1] + 50)
    for hole in rng.integers(0, len(keep), 6):
        keep[hole : hole + rng.integers(2, 150)] = 0
    block = an_office_hour(50.0, seed=3).block(keep)
    m = len(block.second)
    whole = ContextStage(rate_hz=50.0)
    wanted = whole.update(block)
    cuts = sorted({0, m, *data.draw(st.lists(st.integers(1, m - 1), max_size=40))})
    stage = ContextStage(rate_hz=50.0)
    got = []
    for a, b in zip(cuts, cuts[1:], strict=False):
        got.append(stage.update(part(block, a, b)))
        if data.draw(st.booleans()):
            blob = dump(stage.snapshot())
            stage = ContextStage(rate_hz=50.0)
            stage.restore(load(blob))
    assert np.array_equal(np.concatenate([g.posture for g in got]), wanted.posture)
    assert np.array_equal(np.concatenate([g.confidence for g in got]), wanted.confidence)
    assert stage.take_transfers() == whole.take_transfers()
    assert dump(stage.snapshot()) == dump(whole.snapshot())
