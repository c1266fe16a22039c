"""Walks begun in the middle: no worse than plain VQF with a good gyroscope, far better with a bad one. All sets: `beginnings.py`."""

from __future__ import annotations

import numpy as np
import pytest

from sensor_gateway.validation.datasets import find
from tests.reference import ABSENT, REFERENCE
from tests.validation.beginnings import errors

pytestmark = [
    pytest.mark.reference,
    pytest.mark.slow,
    pytest.mark.skipif(not REFERENCE.is_dir(), reason=ABSENT),
]


@pytest.mark.parametrize(("bias_dps", "of_plain"), [(0.0, 1.1), (1.0, 0.95), (3.0, 0.75)])
def test_a_walk_begun_in_the_middle(bias_dps: float, of_plain: float) -> None:
    cuts = [e for case in find(REFERENCE, ["mobgap_lowback"]).cases for e in errors(case, bias_dps)]
    online, settled, plain = (float(np.mean([c[who] for c in cuts])) for who in ("online", "settled", "plain"))
    print(f"{bias_dps:g} deg/s: online {online:.2f}, settled {settled:.2f}, plain {plain:.2f} deg, {len(cuts)} cuts")
    assert len(cuts) >= 20
    assert online < of_plain * plain
    assert settled < 0.6 * plain
