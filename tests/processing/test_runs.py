"""Runs of equal values, held against numpy's own differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.runs import ahead, first_rows, lengths, over_windows, rises
from processing.types import I64

_COLUMNS = st.lists(st.integers(0, 3), max_size=40).map(lambda rises: np.cumsum(np.array(rises, dtype=np.int64)))


@given(_COLUMNS)
def test_runs_begin_where_values_change_and_cover_all_rows(values: I64) -> None:
    first = first_rows(values)
    assert values[first].tolist() == np.unique(values).tolist()
    assert np.repeat(values[first], lengths(first, len(values))).tolist() == values.tolist()


@given(_COLUMNS, st.integers(-5, 5))
def test_rises_are_differences_from_what_came_before(values: I64, before: int) -> None:
    assert rises(values, before).tolist() == np.diff(values, prepend=before).tolist()


@given(st.lists(st.booleans(), max_size=40))
def test_ahead_counts_the_marks_that_follow_each_other(marks: list[bool]) -> None:
    expected = [[*marks[k:], False].index(False) for k in range(len(marks))]
    assert ahead(np.array(marks, dtype=np.bool_)).tolist() == expected


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 10])
@pytest.mark.parametrize("extreme", [np.maximum, np.minimum])
def test_extremes_over_windows_are_those_of_each(width: int, extreme: np.ufunc) -> None:
    values = np.random.default_rng(3).normal(size=40)
    expected = [extreme.reduce(values[i : i + width]) for i in range(len(values) - width + 1)]
    assert over_windows(values, width, extreme).tolist() == expected
