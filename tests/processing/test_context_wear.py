"""Not worn is told from a body that keeps still, whatever the sensor's noise."""

from __future__ import annotations

import numpy as np
import pytest

from processing.context.retro import RetroContext
from processing.context.stage import ContextStage
from processing.types import POSTURES
from tests.processing.bodies import Body


def names(body: Body) -> list[str]:
    block = body.block()
    return [POSTURES[int(c)] for c in ContextStage(rate_hz=block.rate_hz).update(block).posture]


@pytest.mark.parametrize(
    ("noise_dps", "rate_hz"), [(0.01, 100.0), (0.05, 50.0), (0.1, 100.0), (0.25, 50.0), (0.3, 25.0)]
)
def test_half_an_hour_on_a_desk_is_not_worn_after_ten_minutes(noise_dps: float, rate_hz: float) -> None:
    body = Body(rate_hz=rate_hz, gyr_noise_dps=noise_dps, seed=4)
    body.rest(10).walk(30).rest(10).move(5.0, to_pitch_deg=-85.0, rise_m=-0.2).rest(1800, worn=False)
    got = names(body)
    assert "not_worn" not in got[:640]
    assert got[670:1840].count("not_worn") > 1160
    got_back = RetroContext(rate_hz=rate_hz)
    got_back.add(body.block())
    back = [POSTURES[int(c)] for c in got_back.finish()[0].posture]
    assert back[60:1840].count("not_worn") > 1770
    assert "not_worn" not in back[:50]


@pytest.mark.parametrize("noise_dps", [0.05, 0.1, 0.25])
@pytest.mark.parametrize("pitch", [-18.0, -88.0])
def test_a_person_keeping_still_breathes(noise_dps: float, pitch: float) -> None:
    body = Body(gyr_noise_dps=noise_dps, breathing_deg=0.15, _pitch=pitch, rate_hz=50.0)
    assert "not_worn" not in names(body.rest(1800))


def test_a_knock_on_the_table_is_forgiven_and_picking_up_is_not() -> None:
    body = Body(rate_hz=50.0, _pitch=-85.0).rest(400, worn=False).move(0.4, to_pitch_deg=-84.0, rise_m=0.0)
    body.rest(400, worn=False)
    got = names(body)
    assert got[650:800].count("not_worn") == 150
    body.move(2.0, to_pitch_deg=0.0, rise_m=0.5).rest(3).walk(20)
    got = names(body)
    assert "not_worn" not in got[812:]


def test_a_sensor_on_a_desk_with_gaps_in_its_signal_is_not_worn() -> None:
    body = Body(rate_hz=50.0, _pitch=-85.0).rest(1500, worn=False)
    keep = np.ones(75_000)
    for second in range(0, 1500, 7):
        keep[second * 50 + 10 : second * 50 + 35] = 0
    block = body.block(keep)
    got = [POSTURES[int(c)] for c in ContextStage(rate_hz=50.0).update(block).posture]
    assert got[620:].count("not_worn") == len(got[620:])


def test_a_clip_taken_up_again_starts_anew_and_walking_shows_the_way() -> None:
    body = Body(rate_hz=50.0).rest(8).walk(20).rest(8).sit_down().rest(60).move(3.0, to_pitch_deg=-80.0, rise_m=0.0)
    body.rest(900, worn=False).move(3.0, to_pitch_deg=5.0, rise_m=0.5).rest(10).walk(20).rest(10)
    got = names(body)
    assert got[960:1000].count("not_worn") == 40
    assert got[1008:1014] == ["standing"] * 6
    assert got[-5:] == ["standing"] * 5


def test_on_a_table_a_posture_grows_less_sure_until_it_is_not_worn_and_on_a_body_it_does_not() -> None:
    body = Body(rate_hz=50.0).rest(10).walk(30).rest(10).move(5.0, to_pitch_deg=-85.0, rise_m=-0.2)
    on_table = ContextStage(rate_hz=50.0).update(body.rest(900, worn=False).block())
    assert on_table.confidence[70] > 0.75  # from standing people rarely lie down at once; a recliner leans as far
    assert on_table.confidence[500] < 0.7
    in_bed = ContextStage(rate_hz=50.0).update(
        Body(rate_hz=50.0).rest(10).walk(30).rest(10).sit_down().rest(5).lie_down(drop_m=0.1).rest(900).block()
    )
    assert in_bed.confidence[120:].min() > 0.9
