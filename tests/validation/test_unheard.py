"""Lying down, sitting down and standing up while nothing is received: up is found again at once. All people: `unheard.py`."""

from __future__ import annotations

import numpy as np
import pytest

from sensor_gateway.validation.datasets import find
from tests.reference import ABSENT, REFERENCE
from tests.validation.unheard import errors

pytestmark = [
    pytest.mark.reference,
    pytest.mark.slow,
    pytest.mark.skipif(not REFERENCE.is_dir(), reason=ABSENT),
]


@pytest.mark.parametrize("hole_s", [1.0, 3.0])
def test_changes_of_posture_that_nobody_heard(hole_s: float) -> None:
    each = [errors(case, hole_s) for case in find(REFERENCE, ["hapt"]).cases[:4]]
    online, settled, retro = (float(np.mean([e[who] for e in each])) for who in ("online", "settled", "retro"))
    print(f"{hole_s:g} s: online {online:.2f}, settled {settled:.2f}, retro {retro:.2f} deg")
    assert online < 3.0  # without a look at the first reading 4 to 6
    assert settled < 1.0
    assert retro < 1.0  # gone on as if nothing had turned 4 to 9
