"""Every capture in tests/golden is decoded again: the drivers must read it as they did when it was recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sensor_gateway.cli import main
from sensor_gateway.config import Sensor
from sensor_gateway.drivers.base import Received
from sensor_gateway.drivers.movella_dot import BATTERY_UUID
from sensor_gateway.sensors.capture import (
    FORMAT,
    Capture,
    CaptureError,
    Head,
    differences,
    make_capture,
    read_capture,
    write_capture,
)
from tests.fuzz_drivers import cases

GOLDEN = Path(__file__).parents[2] / "golden"
ADDRESS = "D4:22:CD:00:7A:31"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.jsonl")), ids=lambda p: p.name)
def test_a_golden_capture_is_read_as_when_it_was_recorded(path: Path) -> None:
    capture = read_capture(path)
    assert capture.head.provenance in ("sensor", "simulated", "journal")
    assert differences(capture) == []


def test_there_are_golden_captures() -> None:
    assert len(list(GOLDEN.glob("*.jsonl"))) >= 3


def received(*payloads: bytes, uuid: str = BATTERY_UUID) -> list[Received]:
    return [
        Received(uuid, p, 7_000_000_000 + 40_123_456 * i, 1_790_000_000_000_000_000 + i) for i, p in enumerate(payloads)
    ]


def dot_capture(*payloads: bytes, secrets: tuple[str, ...] = ()) -> Capture:
    sensor = Sensor("clip-1", "w-001", "dot", ADDRESS, 60.0)
    return make_capture(sensor, received(*payloads), Head(FORMAT, "dot", 60.0, "simulated"), secrets)


def test_address_serial_and_date_are_taken_out_wherever_they_stand() -> None:
    raw = bytes.fromhex(ADDRESS.replace(":", ""))
    capture = dot_capture(
        b"x" + raw + b"y", raw[::-1], b"d422cd007a31", b"D4:22:CD:00:7A:31", b"no. 00A1B2C3!", b"\x50\0",
        secrets=("Polar Sense 00A1B2C3",),
    )  # fmt: skip
    assert [r.payload for r in capture.received] == [
        b"x" + bytes(6) + b"y", bytes(6), bytes(12), bytes(17), b"no. " + bytes(8) + b"!", b"\x50\0",
    ]  # fmt: skip
    assert capture.head.redacted == 5
    assert [r.rx_mono_ns for r in capture.received[:3]] == [0, 40_000_000, 80_000_000]
    assert capture.expect["battery"][-1] == 80.0
    assert sum(capture.expect["refused"].values()) == 2


def test_a_name_without_a_number_is_no_secret() -> None:
    assert dot_capture(b"Movella DOT", secrets=("Movella DOT",)).head.redacted == 0


# A capture is of what streams; a DOT's recordings are fetched.
@pytest.mark.parametrize("name", sorted(cases().keys() - {"dot-record"}))
def test_every_driver_round_trips_through_a_file(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    driver, _, variant = name.partition("-")
    rate_hz = case.make().capabilities.rate_hz
    options: dict[str, str | int | float | bool] = {}
    if variant:
        options = {"record": True} if variant == "record" else {"chip": variant}
    sensor = Sensor("clip-1", "w-001", driver, ADDRESS, rate_hz, options=options)
    items = [Received(uuid, p, 1_000_000_000 + 30_000_000 * i, 0) for i, (uuid, p) in enumerate(case.good * 3)]
    capture = make_capture(sensor, items, Head(FORMAT, driver, rate_hz, "simulated", options))
    assert capture.expect["samples"] > 0
    path = tmp_path / "a.capture.jsonl"
    write_capture(capture, path)
    again = read_capture(path)
    assert again == capture
    assert differences(again) == []
    assert main(["capture", "--check", str(path)]) == 0


def test_a_change_of_scale_sign_or_order_is_seen() -> None:
    case = cases()["open"]
    items = [Received(uuid, p, 1_000_000_000 + 30_000_000 * i, 0) for i, (uuid, p) in enumerate(case.good)]
    sensor = Sensor("clip-1", "w-001", "open", ADDRESS)
    capture = make_capture(sensor, items, Head(FORMAT, "open", 100.0, "simulated"))
    for change in ({"acc_mps2": {**capture.expect["acc_mps2"], "mean": [0.1001, -3.0, 9.8]}}, {"samples": 1}):
        altered = Capture(capture.head, capture.received, {**capture.expect, **change})
        (text,) = differences(altered)
        assert text.startswith(next(iter(change)))
    assert "samples" in " ".join(differences(Capture(capture.head, capture.received[1:], capture.expect)))


@pytest.mark.parametrize(
    "text", ["", "{}", '{"tiltline_capture": 1}\n{}', "\0\1", '{"tiltline_capture":1,"driver":"dot","rate_hz":1,"provenance":"x"}\n[0,7,"00"]\n{"expect":{}}']
)  # fmt: skip
def test_what_is_no_capture_is_one_sentence(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(CaptureError, match="is no capture"):
        read_capture(path)
    assert main(["capture", "--check", "--json", str(path), str(tmp_path / "none")]) == 1
    told = json.loads(capsys.readouterr().out)
    assert ["is no capture" in told[0]["differences"][0], "cannot be read" in told[1]["differences"][0]] == [True, True]


def test_nothing_received_is_no_capture() -> None:
    with pytest.raises(CaptureError, match="nothing came"):
        dot_capture()
