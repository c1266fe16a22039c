"""Erasing one wearer on one machine: nothing of hers is left in any byte, everything of the others is as it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sensor_gateway import cli
from sensor_gateway.alignments.notes import append, offset_note, read_notes
from sensor_gateway.export import registry
from sensor_gateway.export.manifest import check_manifest
from sensor_gateway.privacy import exports
from sensor_gateway.privacy.erase import prove
from sensor_gateway.privacy.place import places
from sensor_gateway.privacy.sqlite_files import owner_of_line, periods
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import Journal
from sensor_gateway.spool.outbox import Outbox
from sensor_gateway.status.status import gateway_books
from tests.privacy.world import HER, LONGER, OTHER, START_NS, make_world, others


def lines_of_others(folder: Path) -> dict[str, list[bytes]]:
    paths = [*sorted((folder / "ndjson").iterdir()), *sorted((folder / "both").glob("*.csv"))]
    word = HER.encode()
    hers = (b'"wearer":"' + word + b'"', word + b",", b'"' + word + b'"')
    return {
        str(path): [x for x in path.read_bytes().splitlines() if hers[0] not in x and not x.startswith(hers[1:])]
        for path in paths
    }


def run_erase(config: Path, *words: str) -> int:
    return cli.main(["erase", HER, "--config", str(config), "--json", *words])


def test_nothing_of_hers_is_left_and_the_others_are_as_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_world(tmp_path)
    data = tmp_path / "data"
    with sqlite3.connect(data / "spool.db") as db:
        db.execute("INSERT INTO set_aside (sensor, kind, reason, body) VALUES ('clip-2', 'metric', 'x', 'not JSON')")
    before = {name: others(data / name) for name in ("spool.db", "store.db")}
    lines = lines_of_others(tmp_path)
    parquet = pq.read_table(tmp_path / "both-parquet" / "metrics.parquet").to_pylist()
    hers, _ = prove(places([config]), HER)
    assert {Path(one.split(":")[0]).name for one in hers} >= {
        "spool.db", "store.db", "alignment-notes.ndjson", "exports.ndjson", "metrics.csv", "metrics.parquet",
    }  # fmt: skip

    assert run_erase(config, "--yes") == 0
    receipt = json.loads(capsys.readouterr().out)

    counts = receipt["counts"]
    assert counts["journal_entries"] == 50 + 1 + 900 + 1
    assert counts["store_metric"] == 5 + 90
    assert counts["outbox_rows"] == counts["file_lines"] == 5 + 90 + 2
    assert counts["set_aside"] == 2  # of two with a time one lies in her period; one has none
    assert (counts["alignment_notes"], counts["exports_deleted"], counts["exports_rewritten"]) == (1, 1, 2)
    assert prove(places([config]), HER)[0] == []
    for path in (
        p for p in tmp_path.rglob("*") if p.is_file()
    ):  # not even compressed: her payloads end in her id, reversed
        assert not (LONGER.encode() not in path.read_bytes() and HER.encode() in path.read_bytes()), path
    assert {name: others(data / name) for name in before} == before
    assert lines_of_others(tmp_path) == lines
    kept = pq.read_table(tmp_path / "both-parquet" / "metrics.parquet").to_pylist()
    assert kept == [row for row in parquet if row["wearer"] != HER]
    assert len(kept) < len(parquet)
    for folder in ("both", "both-parquet"):
        assert check_manifest(tmp_path / folder) == []
    assert not (tmp_path / "own").exists()

    text = Path(receipt["receipt"]).read_text()
    assert HER not in text
    told = json.loads(text)
    # As docs/privacy.md has her check it: printf SALT:PSEUDONYM | sha256sum
    whose = [
        w
        for w in (HER, OTHER)
        if hashlib.sha256(f"{told['salt']}:{w}".encode()).hexdigest() == told["pseudonym_sha256"]
    ]
    assert whose == [HER]


def test_the_books_balance_and_the_gateway_goes_on(tmp_path: Path) -> None:
    config = make_world(tmp_path)
    assert run_erase(config, "--yes") == 0
    spool = Spool(tmp_path / "data" / "spool.db")
    outbox, journal = Outbox(spool, ["store", "mqtt"], 10**6), Journal(spool, 10**9)
    counters = outbox.counters()
    for sink in ("store", "mqtt"):
        taken = counters.get(f"{sink}_delivered", 0) + counters.get(f"{sink}_dropped", 0) + outbox.queued(sink)
        assert counters[f"{sink}_received"] == taken
    # Rows that went leave no hole: each names the one before it that is held.
    entries = outbox.read("mqtt", 0, 10**6)
    assert [e.after for e in entries[1:]] == [e.seq for e in entries[:-1]]
    # The other wearer's journal is read as one; a new wearer of the same sensor starts behind what was.
    assert sum(len(part) for part in journal.read("clip-1")) == 40 + 1 + 1000 + 1
    new = outbox.run("clip-2", "w-777", "hash", journal.last_seq("clip-2"))
    assert new.warm_seq == journal.last_seq("clip-2") + 1
    with sqlite3.connect(spool.path) as db:
        assert [p.wearer for p in periods(db, "clip-1")] == [OTHER, "-", OTHER]
    spool.close()
    assert {hop.name: hop.missing for hop in gateway_books(tmp_path / "data", count_all=True).hops} == dict.fromkeys(
        ("journal", "pipeline", "store", "mqtt"), 0
    )
    note = read_notes(tmp_path / "data")[0]
    assert (note.version, note.wearer) == (2, OTHER)
    offset = note.offset  # type: ignore[union-attr]
    assert append(tmp_path / "data", lambda v: offset_note(v, START_NS + 9, OTHER, offset)).version == 3


def test_it_refuses_what_cannot_be_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_world(tmp_path)
    spool = Spool(tmp_path / "data" / "spool.db")
    assert run_erase(config, "--yes") == 1
    assert "stop it" in capsys.readouterr().err
    spool.close()
    text = config.read_text()
    config.write_text(f'{text}[[sensors]]\nid = "clip-2"\nwearer = "{HER}"\ndriver = "synthetic"\n')
    assert run_erase(config, "--yes") == 1
    assert "tiltline bind --unbind clip-2" in capsys.readouterr().err
    config.write_text(text + f"# {HER} wears clip-2\n")
    assert run_erase(config, "--yes") == 1  # done, but the configuration still names her
    found = json.loads(capsys.readouterr().out)
    assert (found["complete"], found["residues"]) == (False, [f"{config}: content"])
    assert cli.main(["erase", OTHER, "--config", str(config), "--yes"]) == 1
    assert f"tiltline erase {HER}" in capsys.readouterr().err
    config.write_text(text)
    assert run_erase(config, "--yes") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["journal_entries"] == 952  # what the first run counted
    assert run_erase(tmp_path / "absent.toml", "--yes") == 1


def test_it_asks_first(tmp_path: Path) -> None:
    config = make_world(tmp_path)
    before = others(tmp_path / "data" / "spool.db", "nobody")
    words = [sys.executable, "-m", "sensor_gateway.cli", "erase", HER, "--config", str(config)]
    for answer in ("", "yes\n", f"{OTHER}\n"):
        done = subprocess.run(words, input=answer, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "nothing was changed" in done.stderr
    assert others(tmp_path / "data" / "spool.db", "nobody") == before
    assert (
        subprocess.run(words, input=f"{HER}\n", capture_output=True, text=True, timeout=60, check=False).returncode == 0
    )


@pytest.mark.slow
def test_killed_at_any_step_it_goes_on(tmp_path: Path) -> None:
    config = make_world(tmp_path)
    before = {name: others(tmp_path / "data" / name) for name in ("spool.db", "store.db")}
    words = [sys.executable, "-m", "sensor_gateway.cli", "erase", HER, "--config", str(config), "--yes", "--json"]
    for step in ("spool", "store", "file sink", "exports", "search"):
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        while (line := child.stderr.readline()) and line != f"erase: {step}\n":
            pass
        time.sleep(0.002)
        os.kill(child.pid, signal.SIGKILL)
        told, _ = child.communicate(timeout=30)
    if child.returncode != 0:  # the search is short: the last one can be through before the signal comes
        told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    assert json.loads(told)["complete"]
    assert prove(places([config]), HER)[0] == []
    assert {name: others(tmp_path / "data" / name) for name in before} == before
    assert not list((tmp_path / "data").glob("erase-*"))


def test_a_line_belongs_to_its_tag() -> None:
    assert owner_of_line("tilt,sensor=clip-1,site=home,wearer=w-001 a=1 5") == "w-001"
    assert owner_of_line('event,rule=a\\ b,wearer=w-0011 note=",wearer=w-001 " 5') == "w-0011"
    assert owner_of_line('bridge,site=home note=",wearer=w-001" 5') is None


def test_a_shared_export_under_other_labels_is_named_until_it_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_world(tmp_path)
    relabelled = tmp_path / "both" / "manifest.json"
    relabelled.write_text(relabelled.read_text().replace(HER, "p-07").replace(LONGER, "p-08"))
    assert run_erase(config, "--yes") == 1
    found = json.loads(capsys.readouterr().out)["residues"]
    assert f"{relabelled.parent}: an export made with her data; delete it" in found
    shutil.rmtree(tmp_path / "both")
    assert run_erase(config, "--yes") == 0


def test_a_damaged_export_is_named_and_stops_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_world(tmp_path)
    damaged = tmp_path / "both-parquet" / "metrics.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert run_erase(config, "--yes") == 1
    found = json.loads(capsys.readouterr().out)["residues"]
    assert any(one.startswith(f"{damaged}: cannot be searched") for one in found)
    assert f"{damaged.parent}: an export made with her data; delete it" in found
    assert {
        Path(one.split(": ")[0]).is_relative_to(damaged.parent) for one in found if "exports.ndjson" not in one
    } == {True}
    shutil.rmtree(damaged.parent)
    assert run_erase(config, "--yes") == 0


def test_an_export_rewritten_before_a_kill_is_known_as_done_and_leaves_the_registry(tmp_path: Path) -> None:
    make_world(tmp_path)
    folder = tmp_path / "data"
    shared = [k.path for k in registry.known(folder) if HER in k.wearers and len(k.wearers) > 1]
    assert shared
    for name in shared:  # as far as a killed erasure can have come
        exports._begin(folder, HER, name)
        exports._take_out(Path(name), HER)
    exports.erase_exports(folder, HER)
    assert all(HER not in k.wearers for k in registry.known(folder))
    assert b"erasing" not in (folder / registry.FILE).read_bytes()
    assert {k.path for k in registry.known(folder)} == set(shared)  # the others' data are still there to be found
