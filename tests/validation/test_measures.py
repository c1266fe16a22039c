"""Every score against cases whose answer is known without computing it; what must not score well does not."""

from __future__ import annotations

import numpy as np
import pytest

from processing.types import POSTURES
from sensor_gateway.validation import measures
from sensor_gateway.validation.agreement import agreement, limits_deg
from sensor_gateway.validation.doubt import bootstrap, interval, wilson
from sensor_gateway.validation.tally import INCLINATION, MEASURES, POSTURE, SCORED_POSTURES, STEPS, TILT, TRANSFERS
from sensor_gateway.validation.tally import WALKING as WALKS
from sensor_gateway.validation.truth import postures_by_second


def value(measure: str, tally: np.ndarray, figure: str) -> float:
    return float(MEASURES[measure].figure(figure).of(tally))


def leaning(degrees: float, n: int = 100) -> np.ndarray:
    a = np.radians(degrees)
    return np.tile([np.sin(a), np.cos(a), 0.0], (n, 1))


def walk(rng: np.random.Generator, steps: int = 300, step_s: float = 0.55, sd: float = 0.05) -> np.ndarray:
    return 5.0 + np.cumsum(step_s * (1 + sd * rng.standard_normal(steps)))


# Angles


@pytest.mark.parametrize("degrees", [0.0, 1e-7, 0.5, 10.0, 90.0, 179.0, 180.0])
def test_inclination_is_the_angle_between_two_ups(degrees: float) -> None:
    error = measures.inclination_error_deg(leaning(degrees), leaning(0.0))
    np.testing.assert_allclose(error, degrees, rtol=1e-9, atol=1e-12)


def test_heading_does_not_count_in_inclination_and_only_scored_samples_do() -> None:
    error = np.concatenate([np.full(50, 3.0), np.full(50, 4.0), np.full(100, 90.0)])
    scored = np.arange(200) < 100
    tally = measures.inclination(error, scored)
    assert value("inclination", tally, "rmse_deg") == pytest.approx(np.sqrt((9 + 16) / 2))
    assert value("inclination", tally, "coverage") == 1.0


def test_leaving_samples_out_shows_as_coverage() -> None:
    error = np.concatenate([np.full(50, 1.0), np.full(50, np.nan)])
    tally = measures.inclination(error, np.ones(100, dtype=bool))
    assert value("inclination", tally, "rmse_deg") == pytest.approx(1.0)
    assert value("inclination", tally, "coverage") == 0.5


def test_a_recording_without_any_value_is_no_recording() -> None:
    tally = measures.inclination(np.full(10, np.nan), np.ones(10, dtype=bool))
    assert np.isnan(value("inclination", tally, "rmse_deg"))
    assert value("inclination", tally, "coverage") == 0.0


def test_recordings_count_alike_however_long() -> None:
    short = measures.inclination(np.full(10, 1.0), np.ones(10, dtype=bool))
    long = measures.inclination(np.full(10_000, 3.0), np.ones(10_000, dtype=bool))
    assert value("inclination", short + long, "rmse_deg") == pytest.approx(2.0)


def test_a_constant_costs_nothing_in_tilt_and_a_wave_its_rms() -> None:
    t = np.linspace(0, 10, 1000, endpoint=False)
    every = np.ones(1000, dtype=bool)
    wave = 2.0 * np.sin(2 * np.pi * t)
    tally = measures.tilt(7.0 + wave, np.full(1000, -3.0), every)
    assert value("tilt", tally, "rmse_deg") == pytest.approx(np.sqrt(2.0))
    assert value("tilt", tally, "obliquity_rmse_deg") == pytest.approx(0.0, abs=1e-12)


def test_a_part_keeps_the_constant_of_the_whole() -> None:
    error = np.concatenate([np.full(100, 1.0), np.full(100, 3.0)])
    part = np.arange(200) < 100
    assert value("tilt", measures.tilt(error, error, part, (2.0, 2.0)), "rmse_deg") == pytest.approx(1.0)
    assert value("tilt", measures.tilt(error, error, part), "rmse_deg") == pytest.approx(0.0)


# Agreement


def test_limits_of_one_person_are_the_plain_ones() -> None:
    d = np.array([1.0, 2.0, 3.0, 4.0])
    bias, lower, upper = limits_deg([d])
    assert bias == pytest.approx(2.5)
    assert upper - bias == pytest.approx(1.96 * d.std(ddof=1))
    assert bias - lower == pytest.approx(upper - bias)


def test_limits_hold_the_spread_between_people_that_pooling_would_shrink() -> None:
    """Ten people 2° apart from one another, each measured without any noise: the spread is theirs, of ten, not of 10,000."""
    offsets = np.linspace(-3, 3, 10)
    groups = [np.full(1000, o) for o in offsets]
    bias, _, upper = limits_deg(groups)
    assert bias == pytest.approx(0.0)
    assert upper == pytest.approx(1.96 * offsets.std(ddof=1))


def test_limits_of_repeated_measurements_add_both_variances() -> None:
    rng = np.random.default_rng(3)
    groups = [rng.normal(o, 2.0, 400) for o in rng.normal(0.5, 1.5, 400)]
    bias, _, upper = limits_deg(groups)
    assert bias == pytest.approx(0.5, abs=0.25)
    assert (upper - bias) / 1.96 == pytest.approx(2.5, rel=0.05)


def test_agreement_of_one_person_says_what_its_interval_rests_on() -> None:
    rng = np.random.default_rng(1)
    result = agreement([np.repeat(rng.normal(1.0, 1.0, 40), 100)], 100.0)
    assert result is not None
    assert result.people == 1
    assert "nothing of other people" in result.over
    low, high = result.bias_interval_deg
    assert low < 1.0 < high
    # 40 independent seconds, not 4000 independent samples: at least 1 / sqrt(40).
    assert high - low > 2 * 1.96 * 0.7 / np.sqrt(40)
    assert agreement([np.full(5, np.nan)], 100.0) is None


# Posture


def test_postures_of_mixed_or_unlabelled_seconds_are_not_asked() -> None:
    t = np.arange(0, 5, 0.02)
    label = np.where(t < 2, 5, np.where(t < 3.5, 4, 0))
    assert postures_by_second(t, label) == {0: "standing", 1: "standing", 2: "sitting"}


def test_stairs_are_walking_and_a_change_from_level_to_stairs_stays_walking() -> None:
    t = np.arange(0, 2, 0.02)
    assert postures_by_second(t, np.where(t < 0.5, 1, 2)) == {0: "walking", 1: "walking"}


def test_a_perfect_answer_scores_one_and_a_constant_answer_little() -> None:
    truth = {k: SCORED_POSTURES[k // 25] for k in range(100)}
    assert value("posture", measures.posture(truth, truth), "macro_f1") == 1.0
    always = measures.posture(truth, dict.fromkeys(truth, "standing"))
    assert value("posture", always, "macro_f1") == pytest.approx(0.4 / 4)
    assert value("posture", always, "standing_f1") == pytest.approx(0.4)


@pytest.mark.parametrize("answer", [{}, dict.fromkeys(range(100), "unknown"), dict.fromkeys(range(100), "not_worn")])
def test_no_answer_is_no_way_to_score(answer: dict[int, str]) -> None:
    truth = {k: SCORED_POSTURES[k // 25] for k in range(100)}
    tally = measures.posture(truth, answer)
    assert value("posture", tally, "macro_f1") == 0.0
    assert tally.sum() == 100


def test_stairs_and_running_are_walking_and_nothing_else() -> None:
    truth = {k: SCORED_POSTURES[k // 25] for k in range(100)}
    finer = truth | dict.fromkeys(range(75, 85), "stairs") | dict.fromkeys(range(85, 90), "running")
    assert value("posture", measures.posture(truth, finer), "macro_f1") == 1.0
    climbing = truth | dict.fromkeys(range(25), "stairs")  # who lies is not on stairs
    assert value("posture", measures.posture(truth, climbing), "lying_f1") == 0.0
    assert value("posture", measures.posture(truth, climbing), "walking_f1") == pytest.approx(2 * 25 / (25 + 50))


def test_rare_postures_weigh_as_much_as_common_ones() -> None:
    truth = {k: "walking" if k < 990 else "lying" for k in range(1000)}
    all_walking = measures.posture(truth, dict.fromkeys(truth, "walking"))
    assert value("posture", all_walking, "macro_f1") < 0.5


def test_the_confusion_keeps_truth_and_answer_apart() -> None:
    tally = measures.posture({0: "sitting", 1: "sitting"}, {0: "standing", 1: "standing"})
    named = dict(zip(POSTURE.fields, tally.tolist(), strict=True))
    assert named["sitting as standing"] == 2.0
    assert named["standing as sitting"] == 0.0
    assert len(tally) == len(SCORED_POSTURES) * len(POSTURES)


# Transfers


def test_transfers_match_one_to_one_within_two_seconds_each_kind_for_itself() -> None:
    true = [(10.0, "stand_to_sit"), (20.0, "sit_to_stand")]
    found = [(11.9, "stand_to_sit"), (10.5, "stand_to_sit"), (20.0, "stand_to_sit"), (22.1, "sit_to_stand")]
    tally = measures.transfers(found, true, [t for t, _ in found])
    assert dict(zip(TRANSFERS.fields, tally.tolist(), strict=True)) == {"hits": 1, "missed": 1, "false": 3}


def test_transfers_amid_unlabelled_time_are_not_held_against_anyone() -> None:
    found = [(50.0, "stand_to_sit"), (60.0, "sit_to_stand")]
    tally = measures.transfers(found, [], [60.0])
    assert tally.tolist() == [0.0, 0.0, 1.0]


def test_finding_transfers_everywhere_costs_precision() -> None:
    true = [(100.0 * k, "stand_to_sit") for k in range(1, 11)]
    found = [(4.0 * k, "stand_to_sit") for k in range(260)]
    tally = measures.transfers(found, true, [t for t, _ in found])
    assert value("transfers", tally, "recall") == 1.0
    assert value("transfers", tally, "precision") < 0.05


# Steps


def test_a_constant_delay_is_free_up_to_its_bound() -> None:
    true = walk(np.random.default_rng(1))
    for delay in (-0.2, -0.07, 0.0, 0.15, 0.2):
        result = measures.steps(true + delay, true)
        assert value("steps", result.tally, "f1") == 1.0
        assert result.delay_s == pytest.approx(delay, abs=0.011)
    slow = walk(np.random.default_rng(1), step_s=1.0, sd=0.02)
    late = measures.steps(slow + 0.5, slow)  # further than 0.2 + 0.12 s from its own contact and from the next
    assert value("steps", late.tally, "f1") < 0.05


def out_and_back(rng: np.random.Generator) -> np.ndarray:
    """A corridor there and back: 16 steps, first and last of them slower, a turn of some seconds, 16 more."""
    paces = np.concatenate([[1.25], np.ones(13), [1.15]])
    there = np.cumsum(0.55 * paces * (1 + 0.05 * rng.standard_normal(15)))
    back = np.cumsum(0.55 * paces * (1 + 0.05 * rng.standard_normal(15)))
    first = np.concatenate([[0.0], there]) + 5.0
    return np.concatenate([first, first[-1] + rng.uniform(0.7, 1.6) + np.concatenate([[0.0], back])])


def test_a_metronome_does_not_score_well() -> None:
    """It knows the pace and both ends and hears nothing. Where people start, turn and stop it loses the beat; in an endless even walk
    no score of this kind could tell it from a step detector, so recordings must hold turns and stops.
    """
    rng = np.random.default_rng(0)
    tight, wide = [], []
    for _ in range(40):
        true = out_and_back(rng)
        beat = np.arange(true[0], true[-1] + 0.3, float(np.median(np.diff(true))))
        tight.append(value("steps", measures.steps(beat, true).tally, "f1"))
        delays = np.arange(-0.2, 0.201, 0.02)
        most_at_250_ms = max(len(measures.match(beat - d, true, 0.25)) for d in delays)
        wide.append(2 * most_at_250_ms / (len(beat) + len(true)))
    assert np.mean(tight) < 0.80
    assert np.mean(wide) > 0.90  # what could be claimed at ±0.25 s


def test_random_steps_and_twice_as_many_steps_do_not_score_well() -> None:
    rng = np.random.default_rng(2)
    true = walk(rng)
    chance = np.sort(rng.uniform(true[0], true[-1], len(true)))
    assert value("steps", measures.steps(chance, true).tally, "f1") < 0.6
    doubled = np.sort(np.concatenate([true, true + 0.275]))
    result = measures.steps(doubled, true).tally
    assert value("steps", result, "recall") == 1.0
    assert value("steps", result, "precision") == pytest.approx(0.5, abs=0.01)


def test_no_step_is_no_step() -> None:
    true = walk(np.random.default_rng(1), 10)
    none = np.empty(0)
    assert measures.steps(none, true).tally.tolist() == [0, 0, 10, 0, 0]
    assert measures.steps(true, none).tally.tolist() == [0, 10, 0, 0, 0]
    assert np.isnan(value("steps", measures.steps(none, none).tally, "f1"))


def test_matching_is_one_to_one_and_finds_the_most_pairs() -> None:
    """Against every possible assignment, on small random cases."""
    rng = np.random.default_rng(4)
    for _ in range(300):
        a, b = (np.sort(rng.uniform(0, 1, rng.integers(0, 6))) for _ in range(2))
        pairs = measures.match(a, b, 0.12)
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
        assert all(abs(a[i] - b[j]) <= 0.12 for i, j in pairs)
        assert len(pairs) == most(a.tolist(), b.tolist())


def most(a: list[float], b: list[float]) -> int:
    if not a:
        return 0
    rest = [1 + most(a[1:], b[:j] + b[j + 1 :]) for j, t in enumerate(b) if abs(a[0] - t) <= 0.12]
    return max([most(a[1:], b), *rest])


def test_an_unknown_side_is_wrong_and_an_unknown_truth_not_asked() -> None:
    true = walk(np.random.default_rng(1), 4)
    tally = measures.steps(
        true, true, (["left", "unknown", "right", "left"], ["left", "right", "right", "unknown"])
    ).tally
    assert dict(zip(STEPS.fields, tally.tolist(), strict=True))["sided"] == 3
    assert value("steps", tally, "side") == pytest.approx(2 / 3)


def test_walking_seconds_lie_amid_contacts() -> None:
    contacts = np.arange(10.0, 20.0, 0.5)
    second = np.arange(30)
    walked = (second >= 10) & (second < 25)
    tally = dict(zip(WALKS.fields, measures.walking(contacts, second, walked).tolist(), strict=True))
    assert tally["hits_s"] == tally["walked_s"] > 8
    assert tally["false_s"] == 3  # seconds 22, 23, 24: more than 2 s after the last contact at 19.5 s
    assert tally["still_s"] == 8 + 8


# Tallies and doubt


def test_a_tally_names_its_fields() -> None:
    with pytest.raises(KeyError, match="inclination needs"):
        INCLINATION.tally({"recordings": 1})
    assert len({m.name for m in MEASURES.values()}) == len(MEASURES)
    assert all(TILT.figure(f.name) is f for f in TILT.figures)


def test_the_bootstrap_finds_the_spread_of_a_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(5.0, 1.0, 200)
    by_subject = np.column_stack([np.ones(200), values, np.ones(200), np.ones(200)])
    low, high = bootstrap(by_subject, INCLINATION.figure("rmse_deg").of) or (0.0, 0.0)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(200), rel=0.1)
    assert (low, high) == bootstrap(by_subject, INCLINATION.figure("rmse_deg").of)


def test_few_people_give_no_interval_and_a_person_cannot_be_counted_twice() -> None:
    one = np.array([[1.0, 5.0, 1.0, 1.0]])
    assert bootstrap(np.repeat(one, 4, axis=0), INCLINATION.figure("rmse_deg").of) is None
    # The same ten recordings, of ten people or of five: people are what is drawn.
    rng = np.random.default_rng(5)
    ten = np.column_stack([np.ones(10), np.repeat(rng.normal(5, 1, 5), 2), np.ones(10), np.ones(10)])
    five = ten[::2] + ten[1::2]
    of = INCLINATION.figure("rmse_deg").of
    wide, narrow = bootstrap(five, of), bootstrap(ten, of)
    assert wide is not None
    assert narrow is not None
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_a_share_of_one_is_not_certain() -> None:
    perfect = np.tile([4.0, 0.0, 0.0], (10, 1))
    low, high = interval(perfect, TRANSFERS.figure("recall")) or (0.0, 0.0)
    assert high == 1.0
    assert low == pytest.approx(1 / (1 + 1.959964**2 / 40))  # Wilson's lower end where every event counts
    assert wilson(0, 0) is None
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
