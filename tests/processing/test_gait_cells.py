"""Sums of rows over cells: the same bits whichever way is taken, or what chunks hold would tell."""

from __future__ import annotations

import numpy as np
import pytest

from processing.features.gait_cells import _Rows


@pytest.mark.parametrize("sizes", [(2,), (1, 2, 2, 2, 2, 2), (2, 2, 2, 3, 2, 2), (1, 2, 3), (9, 2, 2, 2, 2)])
@pytest.mark.parametrize("cells", [1, 2, 3, 60, 61])
def test_sums_are_those_of_reduceat(sizes: tuple[int, ...], cells: int) -> None:
    rng = np.random.default_rng(cells)
    count = rng.choice(np.array(sizes), cells)
    number = 1000 + np.cumsum(rng.integers(1, 3, cells))
    x = rng.normal(size=(int(count.sum()), 3))[:, 1]
    rows = _Rows.of(np.repeat(number, count))
    begins = np.cumsum(count) - count
    assert (rows.count == count).all()
    assert (rows.sums(x, x[rows.first]) == np.add.reduceat(x, begins)).all()
