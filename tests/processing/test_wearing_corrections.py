"""Alignments put in force with hindsight: at their instant, whatever came into force then, and the same bits in any grouping."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from processing.alignment.static import Alignment, align, parse_mount
from processing.pipeline import CaptureNeutral, Pipeline
from processing.types import GRAVITY_MPS2, NS_PER_S, Event, Metric, Record, TimedBatch
from tests.processing.test_streaming import batches, pipeline, synthetic

RATE = 50.0
TIMED = synthetic(400, RATE, 7)
T0 = int(TIMED.t_utc_ns[0])
POSE = T0 + 20 * NS_PER_S  # a capture of five seconds begins here


def leaning(degrees: float, t_utc_ns: int) -> Alignment:
    """Zero lies ``degrees`` further forward than the clip's axes."""
    a = np.radians(degrees)
    up = GRAVITY_MPS2 * np.array([np.cos(a), 0.0, np.sin(a)])
    return align(parse_mount("up=+x,anterior=-z"), up, given=True, mount_id="m", t_utc_ns=t_utc_ns)


def run(
    corrections: Mapping[int, Alignment], cuts: list[int], timed: TimedBatch = TIMED, restore: bool = False
) -> list[Record]:
    out: list[Record] = []

    def made() -> Pipeline:
        new = pipeline(RATE, None)
        new.correct(corrections)
        return new

    going = made()
    posed_at = int(np.searchsorted(timed.t_utc_ns, POSE))
    for batch in batches(timed, [posed_at, *cuts]):
        if batch.t_dev_ticks[0] == timed.t_utc_ns[posed_at]:
            out += going.control(CaptureNeutral(5.0), POSE).records
        out += going.update([batch]).records
        if restore:
            state = going.snapshot()
            going = made()
            going.restore(state)
    return out + going.finish().records


def in_force(records: list[Record]) -> list[tuple[int, str]]:
    found = [r for r in records if isinstance(r, Event) and r.type == "alignment" and r.data["outcome"] == "in force"]
    return [(e.t_utc_ns, str(e.data["alignment_id"])) for e in found]


INSTANTS = {
    "before the first sample": 0,
    "at a full second": (T0 // NS_PER_S + 90) * NS_PER_S,
    "within a second": T0 + 90 * NS_PER_S + 123_456_789,
    "at a full minute": (T0 // (60 * NS_PER_S) + 2) * 60 * NS_PER_S,
    "while a pose is taken": POSE + 2 * NS_PER_S,
    "where a pose ends": POSE + 5 * NS_PER_S,
    "in the last second": int(TIMED.t_utc_ns[-1]) - 10,
}


@pytest.mark.parametrize("where", INSTANTS)
def test_it_holds_from_its_instant_in_any_grouping(where: str) -> None:
    t = INSTANTS[where]
    corrections = {t: leaning(8.0, t)}
    whole = run(corrections, [])
    assert (max(t, T0), corrections[t].id) in in_force(whole)
    rng = np.random.default_rng(3)
    for trial in range(2):
        assert run(corrections, rng.integers(1, len(TIMED), 40).tolist(), restore=trial == 0) == whole


def test_tilt_moves_by_the_difference_of_the_zeros_from_then_on() -> None:
    t = INSTANTS["at a full second"]
    usual, corrected = run({}, []), run({t: leaning(8.0, t)}, [])
    before = {m.t_utc_ns: m.anterior_tilt_deg for m in usual if isinstance(m, Metric)}
    after = {m.t_utc_ns: m.anterior_tilt_deg for m in corrected if isinstance(m, Metric)}
    assert before.keys() == after.keys()
    assert [n for n, tilt in before.items() if n < t - NS_PER_S and tilt != after[n]] == []
    later = [(a, b) for n, a in before.items() if n >= t and a is not None and (b := after[n]) is not None]
    moved = np.array([b - a for a, b in later])
    assert len(moved) > 200
    zeros = [e.data["r_ps"] for e in usual if isinstance(e, Event) and e.t_utc_ns == POSE + 5 * NS_PER_S]
    posed_deg = np.degrees(np.arctan2(zeros[0][1][2], zeros[0][1][0]))
    assert np.median(moved) == pytest.approx(posed_deg - 8.0, abs=0.2)
    zero = align(parse_mount("up=+x,anterior=-z"), None, given=True, mount_id="m", t_utc_ns=0)
    assert in_force(usual)[0] == (T0, zero.id)


def test_several_are_put_in_force_in_order_and_a_hole_delays_the_first_to_its_end() -> None:
    first, last = T0 + 100 * NS_PER_S, T0 + 130 * NS_PER_S
    keep = (TIMED.t_utc_ns < first - NS_PER_S) | (TIMED.t_utc_ns > first + 10 * NS_PER_S)
    holed = TimedBatch(TIMED.t_utc_ns[keep], TIMED.acc_mps2[keep], TIMED.gyr_rps[keep])
    corrections = {t: leaning(d, t) for t, d in ((first, 3.0), (first + NS_PER_S, 4.0), (last, 5.0))}
    whole = run(corrections, [], holed)
    wanted = [(t, a.id) for t, a in corrections.items()]
    assert [row for row in in_force(whole) if row in wanted] == wanted
    rng = np.random.default_rng(4)
    assert run(corrections, rng.integers(1, len(holed), 60).tolist(), holed, restore=True) == whole
