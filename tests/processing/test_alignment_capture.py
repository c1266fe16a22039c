"""Steps of the guided set-up from a live stream: what they set, why they are refused, what they say meanwhile, and the same bits
however the samples came."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.alignment.capture import Capture, Captured, Guidance, SetupStep
from processing.alignment.realign import angle_deg
from processing.alignment.static import Alignment, align, parse_mount
from processing.pipeline import CaptureMovement, CaptureNeutral, Control, Pipeline, StreamSetup
from processing.rules.study import Study
from processing.types import GRAVITY_MPS2, NS_PER_S, ClockSpec, Event, TimedBatch
from tests.processing.alignment_chain import T0_NS, joined, recording
from tests.processing.test_alignment_functional import RATE, Signals, movement, turned
from tests.processing.test_streaming import batches, digest

USUAL = align(parse_mount("up=+x,anterior=-z"), None, given=False, mount_id="mount-1", t_utc_ns=0)
SENSOR_FROM_PELVIS = np.array(USUAL.r_ps).T


def timed(signals: Signals, from_ns: int = T0_NS) -> TimedBatch:
    t = from_ns + (np.arange(len(signals[0])) * (NS_PER_S / RATE)).astype(np.int64)
    return TimedBatch(t, signals[0], signals[1])


def take(step: SetupStep, signals: Signals, current: Alignment = USUAL) -> Captured:
    capture = Capture()
    capture.begin(step, T0_NS, len(signals[0]) / RATE)
    capture.take(timed(signals).t_utc_ns, *signals)
    assert capture.running
    return capture.finish(current)


def quiet(seconds: float, lean_deg: float = 0.0, shake: float = 0.02) -> Signals:
    rng, n = np.random.default_rng(5), round(seconds * RATE)
    a = np.radians(lean_deg)
    up = np.tile([-np.sin(a), np.cos(a), 0.0], (n, 1))
    return GRAVITY_MPS2 * up + rng.normal(0, shake, (n, 3)), rng.normal(0, shake / 20, (n, 3)), up


def askew(degrees: float) -> np.ndarray:
    """A clip turned about up from where the mount says it is."""
    return SENSOR_FROM_PELVIS @ Rotation.from_rotvec([0.0, np.radians(degrees), 0.0]).as_matrix()


@pytest.mark.parametrize("degrees", [25.0, 170.0])
def test_bows_turn_the_front_and_keep_the_zero_of_the_neutral_pose(degrees: float) -> None:
    to_sensor = askew(degrees)
    neutral = take("neutral", turned(quiet(5, lean_deg=6.0), to_sensor)).outcome
    assert isinstance(neutral, Alignment)
    assert neutral.method == "static"
    done = take("bows", turned(movement(35.0, twist_deg=4.0), to_sensor), neutral)
    assert isinstance(done.outcome, Alignment)
    assert (done.outcome.method, done.outcome.mount_id, done.step) == ("static", "mount-1", "bows")
    assert angle_deg(done.outcome.r_ps[1], neutral.r_ps[1]) < 1e-6
    x = to_sensor[:, 0]
    assert angle_deg(done.outcome.r_ps[0], (x[0], x[1], x[2])) < 7.0  # 6 deg of lean between front and its level part
    assert done.facts["range_deg"] == pytest.approx(35.0, abs=1.0)
    assert done.outcome.id != neutral.id


def test_without_a_neutral_pose_a_movement_gives_front_and_a_provisional_zero() -> None:
    done = take("bows", turned(movement(35.0), askew(40.0)))
    assert isinstance(done.outcome, Alignment)
    assert (done.outcome.method, done.outcome.has_neutral, done.outcome.uncertainty_deg) == ("functional", False, 3.5)
    tilts = take("pelvic_tilts", turned(movement(8.0, back_deg=8.0, times=4), askew(20.0)))
    assert isinstance(tilts.outcome, Alignment)
    x = askew(20.0)[:, 0]
    assert angle_deg(tilts.outcome.r_ps[0], (x[0], x[1], x[2])) < 2.0


@pytest.mark.parametrize(
    ("step", "signals", "word"),
    [
        ("neutral", quiet(5, shake=1.0), "shook"),
        ("neutral", quiet(0.1), "two seconds"),
        ("bows", movement(10.0), "bow deeper"),
        ("bows", quiet(8), "bow deeper"),
        ("walk", quiet(20), "no walking"),
    ],
)
def test_a_step_that_did_not_work_is_refused_with_its_reason(step: SetupStep, signals: Signals, word: str) -> None:
    outcome = take(step, turned(signals, SENSOR_FROM_PELVIS)).outcome
    assert isinstance(outcome, str)
    assert word in outcome


def test_a_movement_of_another_wearing_does_not_inherit_the_zero() -> None:
    neutral = take("neutral", turned(quiet(5), SENSOR_FROM_PELVIS)).outcome
    assert isinstance(neutral, Alignment)
    over = SENSOR_FROM_PELVIS @ Rotation.from_rotvec([0.0, 0.0, np.pi]).as_matrix()
    outcome = take("bows", turned(movement(35.0), over), neutral).outcome
    assert isinstance(outcome, str)
    assert "stand in the neutral pose again" in outcome


def said(step: SetupStep, signals: Signals) -> Guidance:
    capture = Capture()
    capture.begin(step, T0_NS, 20.0)
    capture.take(timed(signals).t_utc_ns, *signals)
    guidance = capture.guidance()
    assert guidance is not None
    return guidance


def test_a_running_step_says_how_it_goes() -> None:
    assert Capture().guidance() is None
    waiting = Capture()
    waiting.begin("neutral", T0_NS, 5.0)
    assert waiting.guidance() == Guidance("neutral", 0.0, 5.0, good=False, text="Waiting for the sensor.")
    still = said("neutral", quiet(3))
    assert (still.good, still.text) == (True, "Stand quietly in your neutral pose. 18 s to go.")
    assert still.elapsed_s == pytest.approx(2.99)
    assert not said("neutral", quiet(3, shake=1.0)).good
    assert said("bows", quiet(0.4)).text.startswith("Stand quietly for a second")
    begun = said("bows", quiet(3))
    assert begun.good
    assert begun.text.startswith("Now bow straight ahead")
    assert not said("bows", quiet(8)).good  # time enough, and nothing happened
    assert "far enough" in said("bows", movement(35.0)).text
    assert not said("bows", tuple(x[280:] for x in movement(40.0))).good  # it did not begin quietly
    assert not said("walk", quiet(6)).good


@pytest.fixture(scope="module")
def day() -> tuple[TimedBatch, list[tuple[int, Control]]]:
    return set_up_day()


def set_up_day() -> tuple[TimedBatch, list[tuple[int, Control]]]:
    """Quiet, bows, then a simulated wearer's walk; the controls of a whole set-up, one of them too early to work."""
    script, walk = recording(0.06)
    (bout,) = script.bouts
    before = [turned(s, SENSOR_FROM_PELVIS) for s in (quiet(20), movement(35.0, twist_deg=3.0))]
    span = sum(len(s[0]) for s in before) / RATE
    begin = T0_NS - round(60 * NS_PER_S)
    first = timed(before[0], begin)
    second = timed(before[1], begin + 20 * NS_PER_S)
    slow = [TimedBatch(b.t_utc_ns[::2], b.acc_mps2[::2], b.gyr_rps[::2]) for b in (first, second)]
    controls: list[tuple[int, Control]] = [
        (begin + 1 * NS_PER_S, CaptureMovement("bows", 6.0)),
        (begin + 10 * NS_PER_S, CaptureNeutral(5.0)),
        (begin + 20 * NS_PER_S, CaptureMovement("bows", 11.0)),
        (T0_NS + round(bout.start_s * NS_PER_S), CaptureMovement("walk", 30.0)),
    ]
    assert span == 31.0
    return joined([*slow, walk]), controls


def run(day: tuple[TimedBatch, list[tuple[int, Control]]], cuts: list[int], restart: bool) -> tuple[str, list[Event]]:
    """The stream with its controls between the samples they came between."""
    whole, controls = day
    setup = StreamSetup("w-1", "s-1", ClockSpec(1, None, absolute=True), None, 50.0, USUAL)
    p = Pipeline(setup, Study())
    at = [int(np.searchsorted(whole.t_utc_ns, t)) for t, _ in controls]
    records, row, due = [], 0, list(zip(at, controls, strict=True))
    for batch in batches(whole, sorted({*cuts, *at})):
        while due and due[0][0] <= row:
            t, control = due.pop(0)[1]
            records += p.control(control, t).records
        records += p.update([batch]).records
        row += len(batch.t_dev_ticks)
        if restart:
            blob = p.snapshot()
            p = Pipeline(setup, Study())
            p.restore(blob)
    records += p.finish().records
    return digest(records, []), [r for r in records if isinstance(r, Event) and r.type == "alignment"]


def test_a_guided_set_up_in_the_stream(day: tuple[TimedBatch, list[tuple[int, Control]]]) -> None:
    whole, events = run(day, [], restart=False)
    assert [(e.data["outcome"], e.data.get("step")) for e in events] == [
        ("in force", None),
        ("refused", "bows"),
        ("in force", "neutral"),
        ("in force", "bows"),
        ("in force", "walk"),
    ]
    assert "bow deeper" in events[1].data["reason"]
    assert [e.data["method"] for e in events[2:]] == ["static", "static", "static"]
    assert events[4].data["walking_s"] >= 20
    assert events[4].data["sign_confidence"] > 0.9
    assert len({e.data["alignment_id"] for e in events[2:]}) == 3
    n = len(day[0])
    for cuts in (list(range(0, n, 37)), [n // 5, n // 3, n // 2], list(range(800, 1800, 3))):
        assert run(day, cuts, restart=True)[0] == whole
