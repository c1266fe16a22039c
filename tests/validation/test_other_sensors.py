"""What another sensor must not cost: a handful of cases of `other_sensors.py`, beside the same recordings unaltered.

The whole table: `python -m tests.validation.other_sensors REFERENCE`; its figures stand in docs/validation.md.
"""

from __future__ import annotations

import pytest

from tests.reference import ABSENT, REFERENCE
from tests.validation.alterations import UNALTERED
from tests.validation.other_sensors import Figures, chosen, figures, scored

pytestmark = [
    pytest.mark.reference,
    pytest.mark.slow,
    pytest.mark.skipif(not REFERENCE.is_dir(), reason=ABSENT),
]


def result(name: str, sets: list[str], mode: str, each: int = 2) -> Figures:
    return figures(r for case in chosen(REFERENCE, each, sets) for r in scored(case, name, [mode])[0])


@pytest.mark.parametrize("name", ["jitter_5_ms", "bursts_as_arrived", "spikes"])
def test_what_is_wrong_with_the_record_and_not_with_the_motion_costs_no_tilt(name: str) -> None:
    key = ("neura_pelvis", "tilt", "rmse_deg", "online")
    plain = result(UNALTERED, ["neura_pelvis"], "online")[key]
    altered = result(name, ["neura_pelvis"], "online")
    print(f"{name}: {altered[key]:.2f} deg, unaltered {plain:.2f}")
    assert altered["neura_pelvis", "tilt", "coverage", "online"] > 0.99
    assert altered[key] < plain + 0.25


@pytest.mark.parametrize(("name", "least"), [("lost_packets_5", 0.85), ("25_hz", 0.97), ("cheap_104_hz", 0.95)])
def test_posture_survives_lost_packets_slow_rates_and_cheap_chips(name: str, least: float) -> None:
    found = result(name, ["hapt"], "retro")["hapt", "posture", "macro_f1", "retro"]
    print(f"{name}: macro-F1 {found:.3f}")
    assert found > least


@pytest.mark.parametrize("name", ["52_hz", "any_direction", "lost_packets_5"])
def test_steps_survive_another_rate_another_way_of_wearing_and_losses(name: str) -> None:
    found = result(name, ["ipol_l5_gait"], "online")["ipol_l5_gait", "steps", "f1", "online"]
    print(f"{name}: F1 {found:.3f}")
    assert found > 0.93


@pytest.mark.parametrize(("name", "least"), [("slower_1.3", 0.95), ("slower_1.6", 0.9), ("slower_2", 0.8)])
def test_steps_survive_a_slow_and_soft_walk(name: str, least: float) -> None:
    found = result(name, ["ipol_l5_gait"], "retro", each=4)["ipol_l5_gait", "steps", "f1", "retro"]
    print(f"{name}: F1 {found:.3f}")
    assert found > least


def test_posture_survives_a_pelvis_that_sits_as_it_stands() -> None:
    found = result("sits_as_stands", ["hapt"], "retro", each=4)["hapt", "posture", "macro_f1", "retro"]
    print(f"macro-F1 {found:.3f}")
    assert found > 0.93
