"""Shifts, changes of posture and the time since the last one, minute by minute: whatever the grouping, and in the records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.batch import Mode, blocks, process_recording
from processing.changes import ChangeMeter, MinuteChanges, shifts_per_15_min
from processing.core import CoreSetup
from processing.rules.study import Study
from processing.snapshot import dump, load
from processing.types import NS_PER_S, POSTURE_CODE, Epoch
from tests.processing.alignment_chain import T0_NS, neutral, recording

MINUTE0 = T0_NS // (60 * NS_PER_S)
NO_MINUTE = Epoch(T0_NS, None, None, None, None, None, 0, 0, 0, 0, 0, 0, 0, 0, None, 1.0, 1.0)
SECOND0 = MINUTE0 * 60
SITTING, STANDING, LYING = (POSTURE_CODE[p] for p in ("sitting", "standing", "lying"))


def test_a_minute_says_how_often_and_how_long_ago() -> None:
    second = SECOND0 + np.arange(180)
    posture = np.full(180, SITTING, np.int8)
    posture[90:] = STANDING
    tilt = np.zeros(180)
    tilt[20:40] = 8.0  # there and back: two shifts in the first minute
    meter = ChangeMeter()
    meter.update(second, posture, tilt, np.zeros(180), [SECOND0 + 90])
    assert meter.take(MINUTE0) == MinuteChanges(2, 0, 60.0)
    assert meter.take(MINUTE0 + 1) == MinuteChanges(0, 1, 30.0)
    assert meter.take(MINUTE0 + 2) == MinuteChanges(0, 0, 90.0)
    assert meter.take(MINUTE0 + 3) == MinuteChanges()


def test_in_bed_there_is_nothing_to_shift_and_unknown_tilt_counts_nowhere() -> None:
    second = SECOND0 + np.arange(120)
    meter = ChangeMeter()
    posture = np.repeat(np.array([LYING, SITTING], np.int8), 60)
    meter.update(second, posture, np.full(120, np.nan), np.zeros(120), [])
    assert meter.take(MINUTE0).shifts is None
    assert meter.take(MINUTE0 + 1).shifts is None


@settings(max_examples=30)
@given(st.integers(0, 9), st.lists(st.integers(1, 299), max_size=6))
def test_grouping_and_restarts_change_no_count(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    second = SECOND0 + 7 + np.sort(rng.choice(400, 300, replace=False))
    posture = rng.choice([SITTING, STANDING], 300, p=[0.9, 0.1]).astype(np.int8)
    tilt, obliquity = np.cumsum(rng.normal(0, 1.5, (2, 300)), axis=1)
    found = sorted(rng.choice(second, 5).tolist())
    whole = ChangeMeter()
    whole.update(second, posture, tilt, obliquity, found)
    wanted = [whole.take(MINUTE0 + k) for k in range(8)]
    meter, got, minute = ChangeMeter(), [], MINUTE0
    edges = sorted({0, 300, *cuts})
    for a, b in zip(edges, edges[1:], strict=False):
        at = slice(a, b)
        inside = [s for s in found if second[a] <= s <= second[b - 1]]
        meter.update(second[at], posture[at], tilt[at], obliquity[at], inside)
        while minute < second[b - 1] // 60:
            got.append(meter.take(minute))
            minute += 1
        fresh = ChangeMeter()
        fresh.restore(load(dump(meter.snapshot())))
        meter = fresh
    got += [meter.take(k) for k in range(minute, MINUTE0 + 8)]
    assert got == wanted


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["online", "settled", "retro"])
def test_the_epochs_of_a_recording_hold_what_happened(mode: Mode) -> None:
    script, batch = recording(1.2, seed=2)
    result = process_recording(blocks(batch), CoreSetup("w", "s", 50.0, neutral(batch, 50.0)), Study(), mode)
    epochs = [r for r in result.records if isinstance(r, Epoch)]
    assert sum(e.transfers or 0 for e in epochs) == len(result.transfers) > 0
    assert sum(e.shifts or 0 for e in epochs) > 0
    for e in epochs:
        rested = e.sitting_s + e.standing_s
        assert (e.shifts is None) <= (rested < 60)
        assert e.shifts is None or rested > 0
        assert e.since_change_s is None or e.since_change_s > 0.0
    # Within a bout the time since the last change grows by a minute a minute.
    grown = [
        b.since_change_s - a.since_change_s
        for a, b in zip(epochs, epochs[1:], strict=False)
        if a.since_change_s is not None and b.since_change_s is not None and b.since_change_s > 75.0
    ]
    assert grown
    assert set(grown) == {60.0}
    assert len(script.transitions) > 0


def test_shifts_per_quarter_of_an_hour_leave_out_minutes_that_counted_none() -> None:
    def minutes(n: int, shifts: int | None, sitting: int, standing: int) -> list[Epoch]:
        return [replace(NO_MINUTE, shifts=shifts, sitting_s=sitting, standing_s=standing) for _ in range(n)]

    assert shifts_per_15_min([*minutes(10, 1, 60, 0), *minutes(10, 0, 10, 20)]) == pytest.approx(10.0)
    assert shifts_per_15_min([*minutes(5, 2, 30, 30), *minutes(60, None, 60, 0)]) == pytest.approx(30.0)
    assert shifts_per_15_min(minutes(4, 2, 60, 0)) is None
    assert shifts_per_15_min([]) is None
