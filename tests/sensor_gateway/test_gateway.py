"""`tiltline run` and `tiltline replay` as a user starts them, on the embedded defaults: no broker, no database."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from processing.dictionary import KINDS
from sensor_gateway.replay.rederive import compare
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store, StoreError
from tests.integration.servers import REPOSITORY, wait_until
from tests.integration.test_delivery import sensors, write_recording


def tiltline(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sensor_gateway.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=100, check=False, **options)


def configure(folder: Path, sensor: str, rest: str = "[web]\nenabled = false\n") -> Path:
    path = folder / "gateway.toml"
    path.write_text(f'[site]\ndata_dir = "data"\n{sensor}\n{rest}')
    return path


@pytest.mark.slow
def test_a_recording_runs_through_and_replays_bit_for_bit(tmp_path: Path) -> None:
    write_recording(tmp_path / "walk.parquet", 180)
    config = configure(tmp_path, sensors(tmp_path / "walk.parquet", 0))
    ran = tiltline("run", "--config", config, "--until-done", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["queued_store"] == 0
    assert Store.open(tmp_path / "data" / "store.db", readonly=True).count("metric", "w-001") == 180

    replayed = tiltline("replay", "--config", config, "--out", tmp_path / "again.db", "--check", "--json")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    report = json.loads(replayed.stdout)
    assert report["w-001 metric"]["equal"] == 180 == report["clip-1"]["records"]["metric"]
    assert report["w-001 device"]["equal"] == report["clip-1"]["records"]["device"] > 0

    # Somebody changes one stored number: the check finds it.
    store = Store.open(tmp_path / "data" / "store.db")
    second = next(store.metrics("w-001"))
    store.write([Owned("w-001", "clip-1", replace(second, quality=0.123))])
    store.close()
    found = tiltline("replay", "--config", config, "--out", tmp_path / "third.db", "--check", "--json")
    assert found.returncode == 1
    report = json.loads(found.stdout)
    assert (report["w-001 metric"]["different"], report["w-001 metric"]["examples"]) == (1, [second.t_utc_ns])


class Running:
    """A gateway process in its own group."""

    def __init__(self, config: Path, *options: str) -> None:
        self.log = config.with_suffix(".log")
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "sensor_gateway.cli", "run", "--config", config, "--verbose", *options],
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                start_new_session=True,
            )

    def stopped_with(self, what: Callable[[], bool]) -> bool:
        """Stop it where it stands; where ``what`` does not hold there, let it go on."""
        os.killpg(self.child.pid, signal.SIGSTOP)
        if found := what():
            return found
        os.killpg(self.child.pid, signal.SIGCONT)
        return False

    def end(self, number: int) -> float:
        """Send the signal; seconds until the process is gone."""
        began = time.monotonic()
        if self.child.poll() is None:
            os.killpg(self.child.pid, number)
        self.child.wait(60)
        return time.monotonic() - began


def seconds_stored(folder: Path) -> int:
    path = folder / "data" / "store.db"
    if not path.is_file():
        return 0
    with suppress(StoreError):
        store = Store.open(path, readonly=True)
        try:
            return store.count("metric", "w-001")
        finally:
            store.close()
    return 0


@pytest.mark.slow
def test_killed_and_stopped_on_the_way_it_ends_with_the_same_records(tmp_path: Path) -> None:
    write_recording(tmp_path / "walk.parquet", 400)
    (tmp_path / "calm").mkdir()
    calm = configure(tmp_path / "calm", sensors(tmp_path / "walk.parquet", 0))
    assert tiltline("run", "--config", calm, "--until-done").returncode == 0
    config = configure(tmp_path, sensors(tmp_path / "walk.parquet", 30))
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        running, at = Running(config), seconds_stored(tmp_path) + 40
        try:
            wait_until(f"second {at}", lambda at=at: seconds_stored(tmp_path) >= at)
        finally:
            took = running.end(number)
        assert took < 30
        if number == signal.SIGTERM:
            assert running.child.returncode == 0, running.log.read_text()
    assert tiltline("run", "--config", config, "--until-done").returncode == 0
    a = Store.open(tmp_path / "calm" / "data" / "store.db", readonly=True)
    b = Store.open(tmp_path / "data" / "store.db", readonly=True)
    for kind in KINDS:
        found = compare(a, b, "w-001", kind)
        assert found.is_none, (kind, found)
        assert found.equal > 0


def lag(folder: Path) -> int:
    """Journal entries of the sensor whose records are not stored yet."""
    with suppress(sqlite3.Error):
        db = sqlite3.connect(f"file:{folder / 'data' / 'spool.db'}?mode=ro", uri=True)
        try:
            found = db.execute("SELECT (SELECT max(last_seq) FROM journal), (SELECT max(done_seq) FROM run)").fetchone()
        finally:
            db.close()
        return (found[0] or 0) - (found[1] or 0)
    return 0


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["study", "program"])
def test_killed_with_a_backlog_and_started_as_another_it_lacks_no_second(tmp_path: Path, changed: str) -> None:
    write_recording(tmp_path / "walk.parquet", 900)
    (tmp_path / "calm").mkdir()
    calm = configure(tmp_path / "calm", sensors(tmp_path / "walk.parquet", 0))
    assert tiltline("run", "--config", calm, "--until-done").returncode == 0
    config = configure(tmp_path, sensors(tmp_path / "walk.parquet", 0))
    running = Running(config)
    try:
        wait_until("a backlog", lambda: running.stopped_with(lambda: lag(tmp_path) > 100))
    finally:
        running.end(signal.SIGKILL)
    assert lag(tmp_path) > 100
    if changed == "study":
        (tmp_path / "study.toml").write_text('version = "2"\n[tilt]\non_s = 60\n')
        config.write_text('study = "study.toml"\n' + config.read_text())
    else:
        with sqlite3.connect(tmp_path / "data" / "spool.db") as db:
            db.execute("INSERT OR REPLACE INTO snapshot SELECT sensor, run, x'c0ffee' FROM run")
            db.execute("UPDATE run SET snapshot_seq = coalesce(done_seq, 0)")
        db.close()
    assert tiltline("run", "--config", config, "--until-done").returncode == 0
    checked = tiltline("replay", "--config", config, "--out", tmp_path / "again.db", "--check", "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    report = json.loads(checked.stdout)
    assert report["w-001 metric"]["equal"] == seconds_stored(tmp_path / "calm") > 850
    spool = sqlite3.connect(tmp_path / "data" / "spool.db")
    runs, added = spool.execute(
        "SELECT (SELECT count(*) FROM run), value FROM counter WHERE name = 'records_added'"
    ).fetchone()
    spool.close()
    assert runs == 2
    assert added == sum(report["clip-1"]["records"].values()), "no record was given out twice"


@pytest.mark.slow
def test_a_simulated_wearer_goes_live_and_the_page_answers(tmp_path: Path) -> None:
    sensor = '[[sensors]]\nid = "clip-1"\nwearer = "w-001"\ndriver = "synthetic"\noptions = { hours = 0.05 }'
    config = configure(tmp_path, sensor, "[web]\nport = 0\n")
    running = Running(config)
    try:
        wait_until("the page's address", lambda: "page: http" in running.log.read_text())
        url = re.findall(r"page: (\S+)", running.log.read_text())[0]

        def now() -> dict[str, Any]:
            with urllib.request.urlopen(f"{url}api/now", timeout=5) as answer:
                body: dict[str, Any] = json.load(answer)
            return body

        wait_until("three minutes of past", lambda: seconds_stored(tmp_path) > 170)
        before = seconds_stored(tmp_path)
        wait_until("live seconds", lambda: seconds_stored(tmp_path) >= before + 2)
        assert now()
    finally:
        assert running.end(signal.SIGTERM) < 30
    assert running.child.returncode == 0
    assert "Traceback" not in running.log.read_text()


@pytest.mark.parametrize(
    ("sensor", "rest", "words"),
    [
        ("", "", "no sensor is configured; add a [[sensors]] block"),
        ('[[sensors]]\nid = "a"\nwearer = "w"\ndriver = "nosuch"', "", "is 'nosuch'; drivers here:"),
        ('[[sensors]]\nid = "a"\nwearer = "w"\ndriver = "replay"', "", "name the recording"),
        ('[[sensors]]\nid = "a"\nwearer = "w"\ndriver = "synthetic"\nmount = "up"', "", "mount"),
        ('[[sensors]]\nid = "a"\nwearer = "w"\ndriver = "synthetic"', "[file]\nenabled = true", "key 'file.directory'"),
        ('[[sensors]]\nid = "a"\nwearer = "w"\nspeed = 1', "", "unknown key 'sensors[0].speed'"),
    ],
)
def test_a_bad_configuration_stops_the_start_naming_the_key(tmp_path: Path, sensor: str, rest: str, words: str) -> None:
    ran = tiltline("run", "--config", configure(tmp_path, sensor, rest))
    assert ran.returncode == 1
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.slow
def test_replay_and_bridge_refuse_in_one_sentence(tmp_path: Path) -> None:
    sensor = '[[sensors]]\nid = "clip-1"\nwearer = "w-001"\ndriver = "synthetic"'
    config = configure(tmp_path, sensor, '[mqtt]\npassword_file = "absent"\n[influx]\ntoken_file = "absent"\n')
    for words, said in (
        (("replay", "--config", config, "--out", tmp_path / "x.db"), "no journal there"),
        (("replay", "--config", config, "--out", config), "exists; give --out a new name"),
        (("replay", "--config", config, "--out", tmp_path / "x.db", "--sensor", "no"), "no sensor 'no'"),
        (("bridge", "--config", config), "key 'influx.token_file'"),
        (("deadletter", "list", "--config", config), "no queue there yet"),
        (("bridge", "--config", tmp_path / "absent.toml"), "no such file"),
    ):
        ran = tiltline(*words)
        assert ran.returncode == 1
        assert said in ran.stderr
        assert len(ran.stderr.splitlines()) == 1
