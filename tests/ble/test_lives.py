"""A random life of each make's sensor, in a time of its own; many more by `python -m tests.ble.lives`."""

from __future__ import annotations

import pytest

from tests.ble.lives import KINDS, check, live
from tests.ble.support.warp import run


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_doubled_lost_mixed_up_or_dated_wrongly(kind: str) -> None:
    check(run(live(kind, seed=1, events=20)))
