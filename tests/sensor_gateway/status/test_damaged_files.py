"""SQLite files that a bad card or a torn copy has damaged, each alone: every command says so, with one way to go on, and exits with
a failure; the rest goes on.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from processing.types import Metric
from sensor_gateway.bridge.queue import BridgeQueue, QueueError
from sensor_gateway.cli import main
from sensor_gateway.commands.ledger import LEDGER_FILE, Ledger
from sensor_gateway.drivers.base import Received
from sensor_gateway.health.data_folder import folder_findings
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.spool.block import Source
from sensor_gateway.spool.database import Spool, SpoolError, SpoolFullError
from sensor_gateway.spool.journal import Journal
from sensor_gateway.sqlite_faults import DAMAGED
from sensor_gateway.status.status import gateway_books
from tests.sensor_gateway.bridge.test_queue import arrival

REPOSITORY = Path(__file__).parents[3]
PAGE = 4096
T0 = 1_790_000_000_000_000_000


def head(data: bytearray) -> bytearray:
    return bytearray(b"\xff" * 100) + data[100:]


def torn(data: bytearray) -> bytearray:
    return data[: len(data) // 2 // PAGE * PAGE]


def holes(data: bytearray) -> bytearray:
    """All pages but the first two are another file's."""
    return data[: 2 * PAGE] + bytearray(b"\xa5" * (len(data) - 2 * PAGE))


def damage(path: Path, how: Callable[[bytearray], bytearray]) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    path.write_bytes(how(bytearray(path.read_bytes())))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A gateway and a bridge that have worked, in one data folder."""
    data = tmp_path / "data"
    spool = Spool(data / "spool.db")
    journal = Journal(spool, 10**9)
    for i in range(40):
        journal.append("clip-1", [(Source("open", 1), Received("u", bytes(500), i, T0 + i)) for _ in range(7)], True)
    spool.close()
    store = Store.open(data / "store.db")
    store.write(
        Owned("w-001", "clip-1", Metric(T0 + i * 10**9, 1.0, 0.1, 1.5, "standing", 0.9, 1.0, 0.8)) for i in range(900)
    )
    store.close()
    queue = BridgeQueue(data / "bridge.db")
    queue.receive([arrival(i) for i in range(1, 400)])
    queue.close()
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[site]\ndata_dir = "data"\n[web]\nenabled = false\n'
        '[[sensors]]\nid = "clip-1"\nwearer = "w-001"\ndriver = "synthetic"\n'
    )
    return path


COMMANDS = {
    "spool.db": ("run", "status", "backup {folder}/out", "replay --check"),
    "store.db": ("export --wearer w-001 --out {folder}/out", "report day w-001 --store {folder}/data/store.db"),
    "bridge.db": ("bridge", "deadletter list", "status"),
}


@pytest.mark.parametrize("how", [head, torn, holes])
@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_says_what_to_do(
    config: Path, name: str, how: Callable[[bytearray], bytearray], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(config.parent / "data" / name, how)
    for command in ("doctor", *COMMANDS[name]):
        words = command.format(folder=config.parent).split()
        where = [] if "--store" in words else ["--config", str(config)]
        assert main([*words, *where]) in (1, 2), command
        said = capsys.readouterr()
        assert f"data/{name}" in said.out + said.err, command
        assert DAMAGED in said.out + said.err, command


def test_a_damaged_list_of_commands(tmp_path: Path) -> None:
    Ledger(tmp_path / LEDGER_FILE).close()
    damage(tmp_path / LEDGER_FILE, head)
    with pytest.raises(SpoolError, match="it is damaged"):
        Ledger(tmp_path / LEDGER_FILE)
    assert [f.remedy for f in folder_findings(tmp_path) if f.check == "data file"] == [DAMAGED]


def test_a_damaged_store_does_not_hide_the_books(config: Path) -> None:
    damage(config.parent / "data" / "store.db", head)
    assert gateway_books(config.parent / "data").sensors[0].battery_percent is None


def test_damage_that_shows_later_is_told_like_a_full_disk(config: Path) -> None:
    """So what receives, computes and delivers pauses and tries again, instead of ending without a word."""
    path = config.parent / "data" / "spool.db"
    spool = Spool(path)
    damage(path, holes)
    with pytest.raises(SpoolFullError, match="it is damaged"):
        spool.query("SELECT block FROM journal")
    with pytest.raises(SpoolFullError, match="it is damaged"), spool.transaction(durable=True) as db:
        db.execute("DELETE FROM journal")
    spool.close()
    store, queue = Store.open(config.parent / "data" / "store.db"), BridgeQueue(config.parent / "data" / "bridge.db")
    damage(store.path, holes)
    damage(queue.path, holes)
    with pytest.raises(StoreError, match="it is damaged"):
        list(store.metrics("w-001"))
    with pytest.raises(QueueError, match="it is damaged"):
        queue.take(500)
    store.close()
    queue.close()


def test_the_remedy_is_where_the_sentence_says(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\n## A damaged file\n" in (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    main(["doctor", "--config", str(config), "--json"])
    assert not [f for f in json.loads(capsys.readouterr().out) if f["check"] == "data file"]
