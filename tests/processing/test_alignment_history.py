"""The history answers for any time, as of any time; corrections never rewrite; offsets are checked; doubt widens with age."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.alignment.history import AlignmentHistory, aged_uncertainty_deg
from processing.alignment.offset import PelvicOffset
from processing.alignment.static import Alignment, record
from processing.types import NS_PER_S

EYE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
DAY_NS = 86_400 * NS_PER_S


def alignment(t: int, method: str = "static", sigma: float = 2.0) -> Alignment:
    return record(method, EYE, sigma, mount_id="mount-1", t_utc_ns=t)


def test_two_records_are_kept_and_each_is_in_force_in_its_time() -> None:
    history = AlignmentHistory().with_entry(alignment(100), 105).with_entry(alignment(200), 205)
    assert history.in_force(99) is None
    assert [history.in_force(t).version for t in (100, 199, 200, 999)] == [1, 1, 2, 2]
    assert [(a, b, e.version) for a, b, e in history.spans(50, 300)] == [(100, 200, 1), (200, 300, 2)]


def test_a_correction_changes_what_is_derived_but_not_what_was_believed() -> None:
    before = AlignmentHistory().with_entry(alignment(100), 105)
    after = before.with_entry(alignment(100, sigma=1.5), 500, "neutral taken from the session's video")
    assert after.in_force(150).version == 2
    assert after.in_force(150, as_of_utc_ns=499).version == 1
    assert before.hash != after.hash
    assert before.entries == after.entries[:1]


def test_the_past_cannot_be_entered_as_if_it_had_been_known() -> None:
    history = AlignmentHistory().with_entry(alignment(100), 105)
    with pytest.raises(ValueError, match="only grows"):
        history.with_entry(alignment(50), 104)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=12))
def test_spans_agree_with_in_force_and_survive_json(steps: list[tuple[int, int]]) -> None:
    history, now = AlignmentHistory(), 0
    for start, later in steps:
        now += later
        history = history.with_entry(alignment(start), now)
    again = AlignmentHistory.from_plain(json.loads(json.dumps(history.plain())))
    assert again == history
    assert again.hash == history.hash
    spans = history.spans(0, 60)
    for t in range(60):
        covering = [e for a, b, e in spans if a <= t < b]
        found = history.in_force(t)
        assert covering == ([] if found is None else [found])


def test_a_damaged_history_is_refused() -> None:
    rows = AlignmentHistory().with_entry(alignment(1), 1).with_entry(alignment(2), 2).plain()
    with pytest.raises(ValueError, match="version 2 where 1 belongs"):
        AlignmentHistory.from_plain(rows[1:])


def test_doubt_widens_until_the_next_neutral_pose() -> None:
    taken = alignment(0)
    assert aged_uncertainty_deg(taken, 0) == 2.0
    ages = [aged_uncertainty_deg(taken, d * DAY_NS) for d in (1, 2, 7)]
    assert 2.0 < ages[0] < ages[1] < ages[2] < 6.0
    nominal = alignment(0, "nominal", 10.0)
    assert aged_uncertainty_deg(nominal, 7 * DAY_NS) == 10.0


def test_only_neutral_and_what_carried_it_on_may_be_judged_by_rules() -> None:
    assert [m for m in ("nominal", "given", "static", "walking", "functional", "suspended", "realigned")
            if alignment(0, m).has_neutral] == ["static", "realigned"]  # fmt: skip


def test_the_therapists_offset_adds_angle_and_doubt() -> None:
    offset = PelvicOffset(12.0, "caliper", "pt-1", 0)
    absolute, sigma = offset.absolute(3.0, 2.0)
    assert absolute == 15.0
    assert sigma == pytest.approx((2.0**2 + 2.5**2) ** 0.5)
    assert PelvicOffset(12.0, "caliper", "pt-1", 0, 1.0).sigma_deg == 1.0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"angle_deg": 80.0}, "angle_deg"),
        ({"angle_deg": float("nan")}, "angle_deg"),
        ({"method": "guess"}, "method"),
        ({"rater": ""}, "rater"),
        ({"uncertainty_deg": 0.0}, "uncertainty_deg"),
    ],
)
def test_an_offset_that_cannot_be_right_is_refused_naming_the_key(change: dict, word: str) -> None:
    good = {"angle_deg": 12.0, "method": "caliper", "rater": "pt-1", "t_utc_ns": 0}
    with pytest.raises(ValueError, match=word):
        PelvicOffset(**{**good, **change})
