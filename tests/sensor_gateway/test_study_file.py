"""The study as one file: written whole it reads back the same, retention travels with it, and taking one in says what changes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from processing.rules.study import PromptRule, Study, TiltRule, Trial, study_hash
from sensor_gateway import cli
from sensor_gateway.config import ConfigError, Retention, load_settings
from sensor_gateway.study_file import as_toml, load_study, retention_in, retention_of, study_of

CHANGED = replace(
    Study(),
    version="spring",
    timezone="Europe/Berlin",
    tilt=TiltRule(therapist_limit_deg={"standing": 8.0}, postures=("standing",)),
    prompt=PromptRule(quiet_from="21:30"),
    trial=Trial(0.3, 7),
    programme=Study().programme[:1],
)


@pytest.mark.parametrize(
    "study", [Study(), CHANGED, replace(Study(), programme=())], ids=["default", "changed", "no programme"]
)
def test_a_study_written_out_is_the_same_study(study: Study, tmp_path: Path):
    file = tmp_path / "study.toml"
    file.write_text(as_toml(study, Retention(raw_days=30)))
    assert load_study(file) == study
    assert study_hash(load_study(file)) == study_hash(study)
    assert retention_in(file) == Retention(raw_days=30)


def test_the_hash_is_that_of_another_process_with_another_hash_seed(tmp_path: Path):
    file = tmp_path / "study.toml"
    file.write_text(as_toml(CHANGED))
    words = [sys.executable, "-m", "sensor_gateway.cli", "study", "hash", str(file), "--json"]
    told = subprocess.run(words, env={"PYTHONHASHSEED": "77"}, capture_output=True, text=True, check=True).stdout
    assert json.loads(told) == {"version": "spring", "hash": study_hash(CHANGED)}


def test_retention_decides_no_flag_and_changes_no_hash(tmp_path: Path):
    file = tmp_path / "study.toml"
    file.write_text(as_toml(CHANGED, Retention(raw_days=1)))
    assert study_hash(load_study(file)) == study_hash(CHANGED)


def site(folder: Path, more: str = "") -> Path:
    config = folder / "gateway.toml"
    config.write_text(f'study = "study.toml"\n{more}')
    return config


def test_retention_stands_in_one_of_the_two_files(tmp_path: Path):
    config = site(tmp_path)
    (tmp_path / "study.toml").write_text("[retention]\nraw_days = 14\n")
    assert retention_of(load_settings(config), tmp_path) == Retention(raw_days=14)
    both = load_settings(site(tmp_path, "[retention]\nraw_days = 20\n"))
    with pytest.raises(ConfigError, match=r"study.toml: table \[retention\] stands in the gateway file too"):
        retention_of(both, tmp_path)
    (tmp_path / "study.toml").write_text("[tilt]\nsustained_s = 900\n")
    assert retention_of(both, tmp_path) == Retention(raw_days=20)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[retention]\nraw_days = -1", "key 'retention.raw_days' is -1; use 0 to 36500"),
        ("[retention]\nraw_day = 1", "unknown key 'retention.raw_day'; did you mean 'raw_days'"),
        ("[trial]\nwithhold_share = 1.0", "study key 'trial.withhold_share' is 1.0"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_key(text: str, why: str, tmp_path: Path):
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=why):
        load_study(file)


def test_out_of_one_site_and_into_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    here, there = tmp_path / "a", tmp_path / "b"
    for folder in (here, there):
        folder.mkdir()
    (here / "study.toml").write_text(as_toml(CHANGED, Retention(raw_days=30)))
    (there / "study.toml").write_text('version = "old"\n')
    theirs = str(tmp_path / "theirs.toml")
    assert cli.main(["study", "export", "--config", str(site(here)), "--out", theirs]) == 0
    assert cli.main(["study", "export", "--config", str(site(here)), "--out", str(here)]) == 1
    assert f"{here}: cannot be written (Is a directory)" in capsys.readouterr().err
    assert cli.main(["study", "import", theirs, "--config", str(site(there)), "--dry-run"]) == 0
    out = capsys.readouterr().out
    for part in ("prompt.quiet_from", "22:00 -> 21:30", "retention.raw_days", "would change"):
        assert part in out
    assert (there / "study.toml").read_text() == 'version = "old"\n'
    old = study_hash(load_study(there / "study.toml"))
    assert cli.main(["study", "import", theirs, "--config", str(there / "gateway.toml")]) == 0
    settings = load_settings(there / "gateway.toml")
    assert study_of(settings, there) == CHANGED
    assert retention_of(settings, there) == Retention(raw_days=30)
    assert (there / f"study.{old}.toml").read_text() == 'version = "old"\n'
    assert cli.main(["study", "import", theirs, "--config", str(there / "gateway.toml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["changes"] == []


def test_without_a_study_file_quiet_hours_are_the_sites_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "gateway.toml"
    config.write_text('[site]\ntimezone = "Europe/Berlin"\n[web]\nport = 0\n')
    assert study_of(load_settings(config), tmp_path) == Study(timezone="Europe/Berlin")
    cli.main(["doctor", "--config", str(config)])
    assert "time zone" not in capsys.readouterr().out
    (tmp_path / "study.toml").write_text(
        'version = "old"\n'
    )  # without a time zone of its own: UTC, the same on every machine
    config.write_text('study = "study.toml"\n' + config.read_text())
    assert study_of(load_settings(config), tmp_path).timezone == "UTC"
    cli.main(["doctor", "--config", str(config)])
    assert "follow UTC (study), the page's days Europe/Berlin (site)" in capsys.readouterr().out


def test_a_bad_study_is_not_taken_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bad = tmp_path / "bad.toml"
    bad.write_text("[prompt]\nbudget_per_day = -1\n")
    assert cli.main(["study", "import", str(bad), "--config", str(site(tmp_path))]) == 1
    assert "prompt.budget_per_day" in capsys.readouterr().err
    assert cli.main(["study", "hash", str(tmp_path / "absent.toml")]) == 1
    assert "absent.toml: no such file; start from config/study.example.toml" in capsys.readouterr().err
    assert not (tmp_path / "study.toml").exists()
