"""Cells of a regular clock are added all at once: how rows come must not change a bit."""

from __future__ import annotations

import numpy as np
import pytest

from processing.features.movement import cell_sums


@pytest.mark.parametrize("size", range(1, 12))
def test_cells_of_a_regular_clock_have_the_same_sums_to_the_last_bit(size: int) -> None:
    rng = np.random.default_rng(size)
    values = rng.normal(size=300 * size) * 10.0 ** rng.normal(size=300 * size)
    first = np.arange(0, len(values), size)
    count = np.full(300, size)
    expected = np.add.reduceat(values, first)
    assert np.array_equal(cell_sums(values, first, count), expected)
    few = 50  # as they come live
    assert np.array_equal(cell_sums(values[: few * size], first[:few], count[:few]), expected[:few])
