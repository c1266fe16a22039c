"""`tiltline bind` without a radio: the file's comments stay, what cannot run is refused, and nothing is written half."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from sensor_gateway.cli import main
from sensor_gateway.config import ConfigError, load_settings
from sensor_gateway.sensors.binding import Wish, bind, option, unbind

EXAMPLE = Path(__file__).parents[3] / "config" / "gateway.example.toml"
ONE, TWO = "C0:00:00:00:00:01", "C0:00:00:00:00:02"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    shutil.copy(EXAMPLE, path)
    return path


def comments(text: str) -> list[str]:
    return [line[line.index("#") :] for line in text.splitlines() if "#" in line]


def test_the_examples_block_without_an_address_is_filled_in(config: Path) -> None:
    change = bind(config, Wish(ONE.lower(), "w-001", "dot", rate_hz=60.0))
    assert config.read_text() == EXAMPLE.read_text()  # not before `write`
    assert "+address = " in change.diff
    change.write()
    (sensor,) = load_settings(config).sensors
    assert (sensor.id, sensor.wearer, sensor.driver, sensor.address, sensor.rate_hz) == (
        "clip-1", "w-001", "dot", ONE, 60.0,
    )  # fmt: skip
    assert comments(config.read_text()) == comments(EXAMPLE.read_text())


def test_a_second_block_stands_behind_the_first_and_unbinding_takes_it_out_again(config: Path) -> None:
    bind(config, Wish(ONE, "w-001", "open")).write()
    before = config.read_text()
    bind(config, Wish(TWO, "w-002", "witmotion", rate_hz=50.0, mount="up=-y,anterior=+z")).write()
    assert [(s.id, s.wearer) for s in load_settings(config).sensors] == [("clip-1", "w-001"), ("clip-2", "w-002")]
    assert load_settings(config).sensors[1].mount == "up=-y,anterior=+z"
    assert comments(config.read_text()) == comments(before)
    assert "\n\n[web]" in config.read_text()
    unbind(config, TWO.lower()).write()
    assert load_settings(config).sensors == load_settings_of(before, config)


def test_options_are_written_by_their_kind_beside_those_that_stand_there(config: Path) -> None:
    config.write_text(
        '[[sensors]]\nid = "clip-1"\nwearer = "w-001"\naddress = ""\noptions = { record = true } # kept\n'
    )
    told = dict(option(text) for text in ("chip=bmi160", "acc_range_g=4", "serial=174630000192"))
    bind(config, Wish(ONE, "w-001", "metamotion", rate_hz=100.0, options=told)).write()
    (sensor,) = load_settings(config).sensors
    assert sensor.options == {"record": True, "chip": "bmi160", "acc_range_g": 4, "serial": "174630000192"}
    assert comments(config.read_text()) == ["# kept"]
    with pytest.raises(ConfigError, match="did you mean 'chip'"):
        bind(config, Wish(TWO, "w-002", "metamotion", options=dict([option("chp=bmi160")])))
    with pytest.raises(ValueError, match="write KEY=VALUE"):
        option("chip")


def load_settings_of(text: str, beside: Path) -> tuple[object, ...]:
    path = beside.with_name("other.toml")
    path.write_text(text)
    return load_settings(path).sensors


def test_a_file_without_sensors_gets_its_first_and_loses_its_last(config: Path) -> None:
    config.write_text("# mine\n[site]\nid = 'home' # here\n")
    bind(config, Wish(ONE, "w-001", "open")).write()
    assert config.read_text().startswith("# mine\n[site]\nid = 'home' # here\n\n[[sensors]]\n")
    unbind(config, "clip-1").write()
    assert load_settings(config).sensors == ()
    assert comments(config.read_text()) == ["# mine", "# here"]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish(ONE, "w-009", "open"), "bound to w-001 already, as clip-1; free it first: tiltline bind --unbind clip-1"),
        (Wish(TWO, "w-001", "open"), "w-001 wears clip-1 already"),
        (Wish(TWO, "Mary Smith", "open"), "a pseudonym, not a name"),
        (Wish(TWO, "w-002", "dot", rate_hz=100.0), "rate_hz is 100"),
        (Wish(TWO, "w-002", "dott"), "drivers here: capture2go"),
        (Wish(TWO, "w-002", "open", sensor="clip-1"), "'clip-1' stands twice"),
        (Wish(TWO, "w-002", "open", mount="up=+x,anterior=-x"), "key 'mount' of sensor 'clip-2'"),
    ],
)
def test_what_cannot_be_is_refused_and_the_file_stays(config: Path, wish: Wish, words: str) -> None:
    bind(config, Wish(ONE, "w-001", "open")).write()
    before = config.read_bytes()
    with pytest.raises(ConfigError) as error:
        bind(config, wish)
    assert words in str(error.value)
    assert "/tmp" not in str(error.value) or str(config) in str(error.value)
    assert config.read_bytes() == before


def test_two_sensors_for_one_wearer_are_possible_where_they_are_meant(config: Path) -> None:
    bind(config, Wish(ONE, "w-001", "open")).write()
    bind(config, Wish(TWO, "w-001", "open", also=True, sensor="spare")).write()
    assert [s.id for s in load_settings(config).sensors] == ["clip-1", "spare"]


def test_windows_line_ends_and_permissions_stay(config: Path) -> None:
    config.write_bytes(EXAMPLE.read_bytes().replace(b"\n", b"\r\n"))
    config.chmod(0o640)
    bind(config, Wish(ONE, "w-001", "open")).write()
    assert config.read_bytes().count(b"\r\n") == EXAMPLE.read_bytes().count(b"\n")
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    assert [p.name for p in config.parent.iterdir()] == ["gateway.toml"]


def test_the_command_without_a_radio(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["bind", "--config", str(config)]
    assert main([*base, ONE, "w-001", "--driver", "dot", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["sensor"], told["written"]) == ("clip-1", False)
    assert config.read_text() == EXAMPLE.read_text()
    assert main([*base, ONE, "w-001", "--driver", "dot"]) == 0
    assert load_settings(config).sensors[0].rate_hz == 60.0  # the driver's own
    assert "must be restarted" in capsys.readouterr().out
    assert main([*base, ONE]) == 1
    assert "name the wearer" in capsys.readouterr().err
    assert main([*base, "--unbind", "clip-7"]) == 1
    assert "no sensor 'clip-7' is bound; bound here: clip-1" in capsys.readouterr().err
    assert main([*base, "--unbind", "clip-1"]) == 0
    assert load_settings(config).sensors == ()
