"""Backups of a gateway at work: taken under load, with the gateway killed right after, put back, and going on from there."""

from __future__ import annotations

import json
import sqlite3
import threading
from functools import partial
from pathlib import Path

import pytest

from sensor_gateway import cli
from sensor_gateway.config import load_settings
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import Journal
from sensor_gateway.upgrade.backup import BackupError, backup, restore, verify
from tests.integration.servers import Tiltline, wait_until
from tests.integration.test_delivery import START, START_NS, write_recording
from tests.privacy.world import OTHER, make_world, others, payload
from tests.upgrade.v0_1_0 import make


def made(tmp_path: Path) -> tuple[Path, Path]:
    config = make_world(tmp_path)
    folder = tmp_path / "saved"
    backup(config, load_settings(config), folder)
    return config, folder


def test_what_is_put_back_is_what_was_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, folder = made(tmp_path)
    data = tmp_path / "data"
    before = {name: others(data / name, "nobody") for name in ("spool.db", "store.db")}
    notes = (data / "alignment-notes.ndjson").read_bytes()
    with Store.open(data / "store.db")._db as db:
        db.execute("DELETE FROM metric")
    (data / "alignment-notes.ndjson").unlink()
    with Spool(data / "spool.db").transaction(durable=True) as db:
        old_id = db.execute("SELECT value FROM meta WHERE key = 'spool'").fetchone()[0]
        db.execute("DELETE FROM journal")
    assert cli.main(["restore", str(folder), "--config", str(config), "--json"]) == 0
    aside = json.loads(capsys.readouterr().out)["before"]
    assert {name: others(data / name, "nobody") for name in before} == before
    assert (data / "alignment-notes.ndjson").read_bytes() == notes
    assert (Path(aside) / "store.db").is_file()  # nothing was thrown away
    assert (folder / "config" / "gateway.toml").read_bytes() == config.read_bytes()
    spool = Spool(data / "spool.db")
    assert spool.id != old_id  # under the old id the bridge would take new records for known ones
    spool.close()


def test_settings_within_the_data_folder_stay_in_use(tmp_path: Path) -> None:
    _, folder = made(tmp_path)
    inside = tmp_path / "data" / "gateway.toml"
    inside.write_text('[site]\ndata_dir = "."\n')
    for _ in range(2):
        assert cli.main(["restore", str(folder), "--config", str(inside)]) == 0
        assert load_settings(inside).site.data_dir == "."


def test_a_copy_is_one_moment_while_the_journal_is_written(tmp_path: Path) -> None:
    config = make_world(tmp_path)
    spool = Spool(tmp_path / "data" / "spool.db")
    journal = Journal(spool, 10**9)
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        while not stop.is_set():
            i = len(written)
            journal.append("clip-9", [payload(i, OTHER, START_NS + i)], durable=False)
            written.append(i)

    def longer(than: int) -> bool:
        return len(written) > than

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for n in range(3):
            wait_until("some entries", partial(longer, 50 * (n + 1)))
            backup(config, load_settings(config), tmp_path / f"saved-{n}")
    finally:
        stop.set()
        thread.join()
        spool.close()
    for n in range(3):
        verify(tmp_path / f"saved-{n}")
        copy = Spool(tmp_path / f"saved-{n}" / "spool.db")
        seqs = [e.seq for part in Journal(copy, 10**9).read("clip-9") for e in part]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) > 50 * (n + 1)
        copy.close()


def test_it_refuses_what_is_not_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, folder = made(tmp_path)
    data = tmp_path / "data"
    with pytest.raises(BackupError, match="is not empty"):
        backup(config, load_settings(config), folder)
    spool = Spool(data / "spool.db")
    with pytest.raises(BackupError, match="another 'tiltline run'"):
        restore(folder, data)
    spool.close()
    before = {p.name: p.read_bytes() for p in data.iterdir() if p.is_file()}
    good = (folder / "store.db").read_bytes()
    (folder / "store.db").write_bytes(good[:-100] + b"x" * 100)
    assert cli.main(["restore", str(folder), "--config", str(config)]) == 1
    assert "store.db: is missing or not as it was written" in capsys.readouterr().err
    (folder / "store.db").write_bytes(good)
    (folder / "manifest.json").rename(folder / "away")
    with pytest.raises(BackupError, match="no complete backup"):
        restore(folder, data)
    assert {p.name: p.read_bytes() for p in data.iterdir() if p.is_file()} == before
    assert not list(tmp_path.glob(".*"))


def test_a_backup_of_the_previous_release_is_brought_up_to_date(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[site]\ndata_dir = "old"\n')
    make(tmp_path / "old")
    backup(config, load_settings(config), tmp_path / "saved")
    assert verify(tmp_path / "saved")["files"]["bridge.db"]["schema"] == 0
    restore(tmp_path / "saved", tmp_path / "new")
    with sqlite3.connect(tmp_path / "new" / "bridge.db") as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1
        assert db.execute("SELECT count(*) FROM queue").fetchone()[0] == 2
    store = Store.open(tmp_path / "new" / "store.db", readonly=True)
    assert store.count("metric", "w-001") == 1
    store.close()


@pytest.mark.slow
def test_a_running_gateway_is_saved_killed_put_back_and_goes_on(tmp_path: Path) -> None:
    write_recording(tmp_path / "walk.parquet", 300)
    text = (
        '[site]\ndata_dir = "data"\n[[sensors]]\nid = "clip-1"\nwearer = "w-001"\ndriver = "replay"\n'
        f'options = {{ path = "{tmp_path}/walk.parquet", start = "{START}", speed = 20.0, neutral = "10:14" }}\n'
        "[web]\nenabled = false\n"
    )
    gateway = Tiltline(tmp_path / "gateway", "run", text, "--until-done")
    config, data = gateway.folder / "config.toml", gateway.folder / "data"

    def seconds() -> int:
        try:
            store = Store.open(data / "store.db", readonly=True)
        except StoreError:  # not there yet, or only begun
            return 0
        try:
            return store.count("metric", "w-001")
        finally:
            store.close()

    def stored(n: int) -> bool:
        return seconds() >= n

    try:
        gateway.start()
        for n in (40, 80):
            wait_until(f"{n} seconds stored", partial(stored, n), 120)
            assert cli.main(["backup", str(tmp_path / f"saved-{n}"), "--config", str(config), "--json"]) == 0
        assert not gateway.ended(), "the recording ended before the last backup"
        gateway.kill9()
        for n in (80, 40):
            assert cli.main(["restore", str(tmp_path / f"saved-{n}"), "--config", str(config)]) == 0
            assert seconds() >= n
        gateway.start()  # from the older one: the replayed source gives again what came after it
        assert gateway.wait(180) == 0, gateway.said()[-2000:]
    finally:
        gateway.kill9()
    store = Store.open(data / "store.db", readonly=True)
    times = [m.t_utc_ns for m in store.metrics("w-001")]
    assert times == sorted(set(times))
    assert len(times) >= 295
    assert times[0] < START_NS + 10 * 10**9
    store.close()
