"""The fuzz campaign's short, seeded form; ``make fuzz`` runs a million payloads a driver."""

from __future__ import annotations

import json

import pytest

from sensor_gateway.drivers.reasons import KINDS_MAX, OTHER, Tally, kind_of
from tests.fuzz_drivers import campaign, cases, main


@pytest.mark.parametrize("name", sorted(cases()))
def test_a_decoder_survives_noise_and_changed_frames_and_counts_what_it_refuses(name: str) -> None:
    out = campaign(name, cases()[name], 6_000, seed=7)
    assert out.payloads == 6_000
    assert out.decoded > 100
    assert out.refused == sum(out.reasons.values()) > 1_000


def test_the_command_tells_counts_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "300", "--driver", "open", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["driver"], told["payloads"]) == ("open", 300)
    assert sum(told["reasons"].values()) == told["refused"] > 0


def test_reasons_that_differ_in_numbers_only_are_one_kind() -> None:
    assert kind_of("checksum a3f0 does not fit the bytes") == kind_of("checksum 0001 does not fit the bytes")
    assert kind_of("acceleration (-1.5, nan, 3e+20) m/s2 or rate (0.0, 1, -2) deg/s is beyond the sensor's range") == (
        "acceleration (N) m/s2 or rate (N) deg/s is beyond the sensor's range"
    )
    assert kind_of("characteristic 15172003-4947-11e9-8646-d663bd873d93 carries no data") == (
        "characteristic U carries no data"
    )
    assert "'chip'" in kind_of("the sensor has no bmi160; set its option 'chip' to 'bmi270'")


def test_the_tally_is_bounded_and_loses_no_count() -> None:
    tally = Tally()
    for i in range(500):
        tally.add("word " + "xyz"[i % 3] * (i + 1))
    assert len(tally.counts) == KINDS_MAX + 1
    assert tally.counts[OTHER] == 500 - KINDS_MAX
    assert tally.total == 500
