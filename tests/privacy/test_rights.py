"""Retention by kind, consent that is heeded at once, names in a closed file, and everything held on one wearer handed over."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sensor_gateway import cli
from sensor_gateway.config import ConfigError, Retention, Sensor, load_settings
from sensor_gateway.privacy.consent import Consent, ConsentError, enter, entries, objection
from sensor_gateway.privacy.names import NamesError, put, read
from sensor_gateway.privacy.retention import DAY_NS, retain
from sensor_gateway.privacy.watch import ConsentWatch
from sensor_gateway.replay.rederive import SpoolReader
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import CONTROL, Journal, JournalReader
from sensor_gateway.spool.outbox import Outbox
from tests.integration.servers import Tiltline, wait_until
from tests.privacy.world import HER, OTHER, START_NS, S, make_world, others, payload


def test_each_kind_goes_after_its_own_days(tmp_path: Path) -> None:
    make_world(tmp_path)
    data = tmp_path / "data"
    now = START_NS + 10 * DAY_NS + 60 * S  # ten days after a minute of data
    plan = retain(data, Retention(metrics_days=10, raw_days=10), now, dry_run=True)
    before = {name: others(data / name, "nobody") for name in ("spool.db", "store.db")}
    assert {name: others(data / name, "nobody") for name in before} == before
    assert plan.gone["metric"] > 0
    assert plan.gone["raw"] > 0
    assert retain(data, Retention(metrics_days=10, raw_days=10), now) == plan
    assert retain(data, Retention(metrics_days=10, raw_days=10), now).total == 0
    store = Store.open(data / "store.db", readonly=True)
    assert min(m.t_utc_ns for w in store.wearers() for m in store.metrics(w)) >= START_NS + 60 * S
    assert store.count("event", HER) == 2  # no limit is set for events
    store.close()


def test_the_journal_keeps_what_a_start_needs(tmp_path: Path) -> None:
    make_world(tmp_path)
    data = tmp_path / "data"
    retain(data, Retention(raw_days=1), START_NS + 1000 * DAY_NS)
    spool = Spool(data / "spool.db")
    journal, outbox = Journal(spool, 10**9), Outbox(spool, ["store", "mqtt"], 10**6)
    assert journal.last_seq("clip-1") == 40 + 1 + 50 + 1 + 1000 + 1  # numbers go on, also where all is old
    for sensor, wearer in (("clip-1", OTHER), ("clip-2", HER)):
        run = outbox.run(sensor, wearer, f"hash of {wearer}", journal.last_seq(sensor))
        assert run.snapshot is not None
    assert spool.counters()["journal_entries_dropped"] > 0
    spool.close()


def test_copies_go_by_whole_days_and_the_journal_measures_itself_again(tmp_path: Path) -> None:
    make_world(tmp_path)
    copies = tmp_path / "ndjson"
    (copies / "records-2026-02-27.ndjson").write_text("")
    (copies / "mine.ndjson").write_text("")
    now = START_NS + DAY_NS  # 2026-03-02 08:00
    for dry_run in (True, False):
        assert retain(tmp_path / "data", Retention(files_days=2), now, dry_run, copies).gone == {"files": 1}
    assert sorted(p.name for p in copies.iterdir()) == ["mine.ndjson", "records-2026-03-01.ndjson"]
    spool = Spool(tmp_path / "data" / "spool.db")
    journal = Journal(spool, 10**9)
    before = journal.size_bytes
    retain(tmp_path / "data", Retention(raw_days=1), START_NS + 100 * DAY_NS)
    journal.shrunk()
    journal.append("clip-9", [payload(1, OTHER, START_NS)], durable=True)
    assert journal.size_bytes == spool.query("SELECT sum(size) FROM journal")[0][0] < before
    spool.close()


def test_a_limit_out_of_range_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_world(tmp_path)
    text = config.read_text()
    config.write_text(text + "[retention]\nraw_days = -1\n")
    with pytest.raises(ConfigError, match=r"retention\.raw_days"):
        load_settings(config)
    config.write_text(text + "[retention]\nmetrics_days = 1\n")
    assert cli.main(["retain", "--config", str(config), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gone"]["metric"] > 0
    config.write_text(text)
    assert cli.main(["retain", "--config", str(config)]) == 0
    assert "no limit is set" in capsys.readouterr().out


class Sensorlike:
    withheld: str | None = None


def test_a_withdrawal_holds_the_sensor_back_and_a_new_consent_lets_it_go(tmp_path: Path) -> None:
    sensors = (Sensor("clip-1", HER), Sensor("clip-2", OTHER))
    runners = {"clip-1": Sensorlike(), "clip-2": Sensorlike()}
    watch = ConsentWatch(tmp_path, sensors, runners, required=False)
    for i, state in enumerate(("granted", "withdrawn", "granted")):
        enter(tmp_path, Consent(HER, "recording", state, START_NS + i))
        watch.look()
        assert (runners["clip-1"].withheld is not None) is (state == "withdrawn")
        assert runners["clip-2"].withheld is None
    ConsentWatch(tmp_path, sensors, runners, required=True).look()
    assert "no consent" in (runners["clip-2"].withheld or "")
    (tmp_path / "consent.ndjson").write_text("not JSON\n")
    watch.look()  # nothing is known then: nobody is recorded
    assert all("cannot be read" in (r.withheld or "") for r in runners.values())
    with pytest.raises(ConsentError, match="line 1"):
        entries(tmp_path)


def test_consent_is_dated_and_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_world(tmp_path)
    for action in ("grant", "withdraw"):
        assert cli.main(["consent", HER, action, "--text", "2026-03", "--config", str(config), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [e["state"] for e in shown["entries"]] == ["granted", "withdrawn"]
    assert shown["entries"][0]["at_utc_ns"] < shown["entries"][1]["at_utc_ns"]
    assert "withdrawn" in shown["closed"]["recording"]
    assert shown["closed"]["export"] is None
    assert objection(tmp_path / "data", OTHER, "recording") is None
    # Withdrawn from export: her records stay where they are.
    assert cli.main(["consent", HER, "withdraw", "--scope", "export", "--config", str(config)]) == 0
    words = ["export", "--store", str(tmp_path / "data" / "store.db"), "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--wearer", HER]) == 1
    assert "consent to export was withdrawn" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert cli.main([*words, "--wearer", OTHER]) == 0


def test_names_lie_in_a_file_that_is_closed_to_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_world(tmp_path)
    data = tmp_path / "data"
    assert cli.main(["names", HER, "Somebody Ä.", "--config", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {HER: "Somebody Ä."}
    path = data / "names.json"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    assert cli.main(["names", "--config", str(config)]) == 1
    assert "chmod 600" in capsys.readouterr().err
    path.chmod(0o600)
    for wrong in ("", "\x1b[31m", "x" * 201):
        with pytest.raises(NamesError):
            put(data, HER, wrong)
    put(data, OTHER, "Else")
    put(data, HER, None)
    assert read(data) == {OTHER: "Else"}


@pytest.mark.parametrize(
    "made_by",
    [
        lambda folder: Spool(folder / "spool.db").close(),
        lambda folder: Store.open(folder / "store.db").close(),
        lambda folder: enter(folder, Consent(HER, "recording", "granted", START_NS)),
        lambda folder: put(folder, HER, "A Name"),
    ],
    ids=["journal", "store", "consent", "names"],
)
def test_a_new_data_folder_is_closed_to_others(made_by: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    made_by(folder)
    assert folder.stat().st_mode & 0o077 == 0


def test_all_that_is_held_on_one_wearer_and_nothing_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_world(tmp_path)
    enter(tmp_path / "data", Consent(HER, "recording", "granted", START_NS))
    put(tmp_path / "data", HER, "Somebody")
    out = tmp_path / "hers.zip"
    assert cli.main(["portability", HER, "--config", str(config), "--out", str(out), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        assert {"README.txt", "metrics.csv", "events.json", "dictionary.md", "consent.json", "notes.json"} <= names
        metrics = list(csv.DictReader(io.StringIO(archive.read("metrics.csv").decode())))
        events = json.loads(archive.read("events.json"))
        raw = {s: archive.read(f"raw/{s}.ndjson").decode().splitlines() for s in ("clip-1", "clip-2")}
        assert "raw/clip-3.ndjson" not in names
        whole = b"".join(archive.read(name) for name in names)
    assert {row["wearer"] for row in metrics} == {HER}
    assert len(metrics) == 95 == content["rows"]["metrics.csv"]
    assert [e["data"]["note"] for e in events] == [f"said by {HER}"] * 2
    assert (len(raw["clip-1"]), len(raw["clip-2"])) == (51, 901)
    first = json.loads(raw["clip-1"][0])
    assert bytes.fromhex(first["payload"]).endswith(HER.encode()[::-1])
    assert b"Somebody" not in whole
    assert OTHER.encode() not in whole
    assert out.stat().st_mode & 0o777 == 0o600
    assert cli.main(["portability", "w-404", "--config", str(config), "--out", str(tmp_path / "no.zip")]) == 1
    assert not (tmp_path / "no.zip").exists()
    # An erasure finds the ZIP, the name and the consent.
    assert cli.main(["erase", HER, "--config", str(config), "--yes", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out.splitlines()[-1])["counts"]
    assert (counts["names"], counts["consent_entries"], counts["exports_deleted"]) == (1, 1, 2)
    assert not out.exists()
    with sqlite3.connect(tmp_path / "data" / "store.db") as db:
        assert db.execute("SELECT count(*) FROM metric WHERE wearer = ?", (HER,)).fetchone()[0] == 0


@pytest.mark.slow
def test_a_running_gateway_heeds_consent(tmp_path: Path) -> None:
    text = (
        '[site]\ndata_dir = "data"\n[privacy]\nrequire_consent = true\n[web]\nenabled = false\n'
        f'[[sensors]]\nid = "clip-1"\nwearer = "{HER}"\ndriver = "synthetic"\n'
        "options = { hours = 0.01 }\n"  # soon live: of a long past much would still be under way when she withdraws
    )
    gateway = Tiltline(tmp_path, "run", text)

    def consent(action: str) -> None:
        assert cli.main(["consent", HER, action, "--config", str(tmp_path / "config.toml")]) == 0

    def payloads() -> int:
        reader = SpoolReader(tmp_path / "data" / "spool.db")
        try:
            return sum(e.source != CONTROL for part in JournalReader(reader).read("clip-1") for e in part)
        finally:
            reader.close()

    try:
        gateway.start()
        wait_until("a word on consent", lambda: "no consent to recording was entered" in gateway.said(), 60)
        time.sleep(2)
        assert payloads() == 0
        consent("grant")
        wait_until("payloads", lambda: payloads() > 0, 60)
        consent("withdraw")
        wait_until("a word on the withdrawal", lambda: "was withdrawn" in gateway.said(), 60)
        held = [payloads()]

        def nothing_new() -> bool:
            time.sleep(2)
            held.append(payloads())
            return held[-1] == held[-2]

        wait_until("an end of what was under way", nothing_new)
        time.sleep(3)
        assert payloads() == held[-1]
        consent("grant")
        wait_until("payloads again", lambda: payloads() > held[-1], 60)
    finally:
        gateway.kill9()
