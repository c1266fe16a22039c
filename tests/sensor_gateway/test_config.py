"""Settings and study files: what cannot be used is refused in one sentence that names the key and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from processing.rules.study import Study, study_hash
from sensor_gateway.config import ConfigError, Settings, load_settings
from sensor_gateway.study_file import load_study

GOOD = """
study = "study.toml"
[site]
id = "clinic-1"
timezone = "Europe/Berlin"
[[sensors]]
id = "clip-1"
wearer = "w-001"
address = "C0:00:00:00:00:01"
"""

BAD_SETTINGS = [
    ('[site]\nidd = "x"', "unknown key 'site.idd'; did you mean 'id'"),
    ('[[sensors]]\nid = "a"\nwearer = "w"\ndrver = "open"', "unknown key 'sensors[0].drver'; did you mean 'driver'"),
    ("[site]\nid = 3", "key 'site.id': expected `str`, got `int`"),
    ('[web]\nport = "8080"', "key 'web.port': expected `int`, got `str`"),
    ('[site]\nid = "Anna Meyer"', "a pseudonym, not a name"),
    ('[[sensors]]\nid = "a"\nwearer = "status"', "none of status, durable, command"),
    ('[site]\ntimezone = "Berlin"', "use a name such as 'Europe/Berlin'"),
    ('[[sensors]]\nid = "a"', "missing required field `wearer`"),
    ('[[sensors]]\nid="a"\nwearer="w"\n[[sensors]]\nid="a"\nwearer="v"', "stands twice"),
    ("[site", "not valid TOML"),
]

BAD_STUDIES = [
    ("[tilt]\nonn_s = 5", "unknown key 'tilt.onn_s'; did you mean 'on_s'"),
    ('[tilt]\non_s = "long"', "key 'tilt.on_s': expected `int`, got `str`"),
    ('[prompt]\nquiet_from = "25:00"', "use HH:MM"),
    ('[[programme]]\nexercise = "glute"', "not in the library"),
    ('[[programme]]\nexercise = "hip_hinge"\nside = "up"', "side"),
    ('timezone = "Mars"', "Europe/Berlin"),
]


def test_a_good_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(GOOD)
    settings = load_settings(file)
    assert settings.sensors[0].driver == "open"
    assert settings.mqtt.tls
    assert settings.web.host == "127.0.0.1"


@pytest.mark.parametrize(("text", "sentence"), BAD_SETTINGS)
def test_a_bad_gateway_file_is_refused_by_key(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    assert sentence in str(caught.value)
    assert "gateway.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "sentence"), BAD_STUDIES)
def test_a_bad_study_is_refused_by_key(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_study(file)
    assert sentence in str(caught.value)


def test_absent_files_name_the_example(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.example\.toml"):
        load_settings(tmp_path / "none.toml")


def test_a_folder_and_a_file_of_another_user_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        load_settings(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "file" / "gateway.toml")


def test_defaults_need_no_file() -> None:
    assert load_study(None) == Study()
    assert Settings().web.enabled


def test_the_hash_follows_the_content_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text('[prompt]\nbudget_per_day = 4\nquiet_from = "22:00"\n')
    assert study_hash(load_study(file)) == study_hash(Study())
    file.write_text("[prompt]\nbudget_per_day = 3\n")
    assert study_hash(load_study(file)) != study_hash(Study())
