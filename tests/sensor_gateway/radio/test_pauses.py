"""How long the session waits before it tries again: longer and longer, but not where the sensor was here a moment ago."""

from __future__ import annotations

import pytest

from sensor_gateway.config import SessionLimits
from sensor_gateway.radio.escalation import pause_s
from sensor_gateway.radio.states import Failure

LIMITS = SessionLimits()


@pytest.mark.parametrize(("kind", "most_s"), [("connect", 60.0), ("missing", 10.0), ("ended", 3.0)])
def test_pauses_double_up_to_what_the_failure_allows(kind: Failure, most_s: float) -> None:
    pauses = [pause_s(n, kind, LIMITS, 0.5) for n in range(1, 30)]
    assert pauses[:2] == [1.0, 2.0]
    assert pauses[-1] == most_s
    assert pauses == sorted(pauses)


def test_a_twentieth_broken_link_in_a_row_is_taken_up_again_within_five_seconds() -> None:
    assert pause_s(20, "ended", LIMITS, 1.0) < 5.0


def test_no_pause_is_longer_than_the_settings_allow() -> None:
    assert pause_s(20, "ended", SessionLimits(pause_max_s=0.4), 0.5) == 0.4
