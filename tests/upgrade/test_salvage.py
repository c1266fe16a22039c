"""A damaged journal without a backup: real damage to real files; what is there afterwards is what was there, and the rest is named."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from processing.rules.study import Study
from processing.types import Metric
from sensor_gateway import cli
from sensor_gateway.spool.block import Logged
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import Journal
from sensor_gateway.status.status import gateway_books
from sensor_gateway.upgrade.salvage import SalvageError, salvage
from tests.privacy.world import HER, OTHER, make_world
from tests.sensor_gateway.test_runner import OPEN, Gateway, frames

PAGE = 4096
CONFIG = '[site]\ndata_dir = "."\n[web]\nenabled = false\n[[sensors]]\nid = "clip-1"\nwearer = "w-001"\ndriver = "open"\naddress = "C0:00:00:00:00:01"\n'
MINUTES = 24
RECEIVED = frames(MINUTES * 60)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway's folder as a power cut leaves it: the last minutes are in the write-ahead log only."""
    folder, left = tmp_path_factory.mktemp("running"), tmp_path_factory.mktemp("left")
    gateway = Gateway(folder)
    for at in range(0, len(RECEIVED), 300):
        gateway.line.ingest([(OPEN, r) for r in RECEIVED[at : at + 300]])
        if at == len(RECEIVED) // 2:
            assert gateway.spool.query("PRAGMA wal_checkpoint(TRUNCATE)")[0][0] == 0
            gateway.spool.query("PRAGMA wal_autocheckpoint = 0")
    for path in folder.glob("spool.db*"):
        shutil.copy(path, left / path.name)
    gateway.crash()
    (left / "gateway.toml").write_text(CONFIG)
    assert (left / "spool.db-wal").stat().st_size > 500 * PAGE
    return left


@pytest.fixture(scope="module")
def rested(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a start and a stop: all of it in the file itself."""
    data = Path(shutil.copytree(whole, tmp_path_factory.mktemp("rested") / "data"))
    Spool(data / "spool.db").close()
    assert not (data / "spool.db-wal").exists()
    return data


def entries(path: Path, sensor: str = "clip-1") -> dict[int, Logged]:
    spool = Spool(path)
    try:
        return {e.seq: e for part in Journal(spool, 10**9).read(sensor) for e in part}
    finally:
        spool.close()


@pytest.fixture(scope="module")
def truth(rested: Path) -> dict[int, Logged]:
    found = entries(rested / "spool.db")
    assert len(found) > len(RECEIVED)
    return found


def overwrite(at: range, rng: random.Random) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        with path.open("r+b") as f:
            f.seek(at.start)
            f.write(rng.randbytes(len(at)))

    return harm


def cut(share: float, more: int = 0) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        pages = int(path.stat().st_size // PAGE * share)
        with path.open("r+b") as f:
            f.truncate(pages * PAGE - more)

    return harm


def zeroed(path: Path) -> None:
    with path.open("r+b") as f:
        f.write(bytes(PAGE))


RNG = random.Random(20260301)
DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "pages in the middle": ("spool.db", overwrite(range(100 * PAGE, 104 * PAGE), RNG)),
    "half a page in the middle": ("spool.db", overwrite(range(150 * PAGE + 1000, 150 * PAGE + 3000), RNG)),
    "no header": ("spool.db", overwrite(range(100), RNG)),
    "no first page": ("spool.db", zeroed),
    "the first pages": ("spool.db", overwrite(range(12 * PAGE), RNG)),
    "half of the file": ("spool.db", cut(0.5)),
    "a torn last page": ("spool.db", cut(0.95, 1500)),
    "the log's middle": ("spool.db-wal", overwrite(range(300 * PAGE, 302 * PAGE), RNG)),
    "the log's header": ("spool.db-wal", overwrite(range(16), RNG)),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_whole_is_kept_and_the_rest_is_named(
    tmp_path: Path, whole: Path, rested: Path, truth: dict[int, Logged], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, harm = DAMAGE[name]
    data = Path(shutil.copytree(rested if file == "spool.db" else whole, tmp_path / "data"))
    harm(data / file)
    before = {p.name: p.read_bytes() for p in data.glob("spool.db*") if p.name in ("spool.db", "spool.db-wal")}
    config = str(data / "gateway.toml")

    assert cli.main(["salvage", "--config", config, "--dry-run", "--json"]) == 0
    promised = json.loads(capsys.readouterr().out)
    assert {name: (data / name).read_bytes() for name in before} == before
    assert cli.main(["salvage", "--config", config, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == promised | {"aside": told["aside"]}
    assert not told["sound"]
    assert {name: (Path(told["aside"]) / name).read_bytes() for name in before} == before

    assert [hop.missing for hop in gateway_books(data, count_all=True).hops] == [0, 0]
    found = entries(data / "spool.db")
    assert all(truth[seq] == entry for seq, entry in found.items())
    assert told["entries"] == {"clip-1": len(found)}
    lost = told["lost"]
    assert len(found) + sum(stretch["entries"] for stretch in lost) >= max(truth) - 900  # a lost log leaves no trace
    assert len(found) > 0.3 * len(truth)
    gaps = [seq for seq in range(1, max(found) + 1) if seq not in found]
    for stretch in lost:
        assert stretch["wearer"] in ("w-001", None)
        if stretch["from_utc_ns"] and stretch["to_utc_ns"]:
            inside = [s for s in gaps if stretch["from_utc_ns"] <= truth[s].received.rx_utc_ns <= stretch["to_utc_ns"]]
            assert len(inside) == stretch["entries"]


@pytest.mark.parametrize("name", ["pages in the middle", "no first page", "half of the file"])
def test_a_gateway_goes_on_from_there_and_the_days_can_be_derived(
    tmp_path: Path, rested: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(rested, tmp_path / "data"))
    file, harm = DAMAGE[name]
    harm(data / file)
    told = salvage(data, {})
    gateway = Gateway(data, Study())
    later = frames(120, RECEIVED[-1].rx_utc_ns + 60_000_000_000, seed=9)
    gateway.line.ingest([(OPEN, r) for r in later])
    while gateway.line.behind:
        gateway.line.ingest([])
    seconds = [r.t_utc_ns for r in gateway.records() if isinstance(r, Metric)]
    assert gateway.line.broken is None
    assert sum(t > later[0].rx_utc_ns for t in seconds) >= 110
    assert len(seconds) - len(set(seconds)) <= 1  # the second in which the journal breaks off
    gateway.crash()
    assert (
        cli.main(["replay", "--config", str(data / "gateway.toml"), "--out", str(tmp_path / "again.db"), "--json"]) == 0
    )
    db = sqlite3.connect(tmp_path / "again.db")
    derived = db.execute("SELECT count(*) FROM metric WHERE coverage > 0").fetchone()[0]
    db.close()
    assert derived > 0.8 * told.entries["clip-1"] / 10 + 110
    capsys.readouterr()


@pytest.mark.parametrize("stopped", [False, True], ids=["power cut", "stopped"])
def test_a_whole_journal_is_left_alone(
    tmp_path: Path, whole: Path, rested: Path, stopped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(rested if stopped else whole, tmp_path / "data"))
    assert cli.main(["salvage", "--config", str(data / "gateway.toml")]) == 0
    assert "is whole; nothing was changed" in capsys.readouterr().out
    assert not list(data.glob("damaged-*"))
    assert not list(data.glob(".*"))


def test_a_bit_that_sqlite_does_not_see(tmp_path: Path, rested: Path, truth: dict[int, Logged]) -> None:
    data = Path(shutil.copytree(rested, tmp_path / "data"))
    path = data / "spool.db"
    db = sqlite3.connect(path)
    block = db.execute("SELECT block FROM journal WHERE NOT small ORDER BY id LIMIT 1 OFFSET 3").fetchone()[0]
    db.close()
    content = bytearray(path.read_bytes())
    at = content.index(block[6000:6040])
    content[at + 20] ^= 4
    path.write_bytes(content)
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    told = salvage(data, {})
    assert len(told.lost) == 1
    assert told.lost[0].wearer == "w-001"
    assert sum(told.entries.values()) + told.lost[0].entries == len(truth)


def test_two_wearers_stay_apart_and_the_erased_are_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_world(tmp_path)
    data = tmp_path / "data"
    assert cli.main(["erase", HER, "--yes", "--config", str(config)]) == 0
    overwrite(range(100), RNG)(data / "spool.db")
    told = salvage(data, {})
    assert told.lost == []
    db = sqlite3.connect(data / "spool.db")
    assert {w for (w,) in db.execute("SELECT wearer FROM run WHERE sensor = 'clip-1'")} == {OTHER, "-"}
    db.close()
    assert cli.main(["erase", HER, "--config", str(config), "--search"]) == 0
    capsys.readouterr()


def test_a_running_gateways_journal_is_not_touched(tmp_path: Path, whole: Path) -> None:
    data = Path(shutil.copytree(whole, tmp_path / "data"))
    spool = Spool(data / "spool.db")
    with pytest.raises(SalvageError, match="another 'tiltline run'"):
        salvage(data, {})
    spool.close()
    with pytest.raises(SalvageError, match="there is none"):
        salvage(tmp_path, {})
    (tmp_path / "spool.db").touch()
    with pytest.raises(SalvageError, match="empty"):
        salvage(tmp_path, {})
