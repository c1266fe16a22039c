"""Two wearers, one sensor worn by both in turn and one each, in real files: what an erasure has to tell apart."""

from __future__ import annotations

import hashlib
import sqlite3
from functools import partial
from pathlib import Path

from processing.alignment.offset import PelvicOffset
from processing.pipeline import Answer
from processing.types import Event, Metric, Record
from sensor_gateway import controls
from sensor_gateway.alignments.notes import Offset, append, offset_note
from sensor_gateway.drivers.base import Received
from sensor_gateway.export import registry
from sensor_gateway.export.export import export_store
from sensor_gateway.export.selection import Selection
from sensor_gateway.privacy.sqlite_files import NOBODY, periods
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.file import FileSink
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool import block
from sensor_gateway.spool.block import Source
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import CONTROL, Journal
from sensor_gateway.spool.outbox import Outbox
from sensor_gateway.spool.run import Snapshot

HER, OTHER, LONGER = "w-001", "w-002", "w-0011"
START_NS = 1_772_352_000 * 10**9
S = 10**9
CONFIG = '[site]\ndata_dir = "data"\n[file]\nenabled = true\ndirectory = "ndjson"\n[web]\nenabled = false\n'


def payload(i: int, who: str, utc_ns: int) -> tuple[Source, Received]:
    return Source("open", 1), Received("uuid", f"{i:06d}".encode() + who.encode()[::-1], i * S, utc_ns)


def make_world(folder: Path) -> Path:
    """A stopped gateway's folder; the configuration file."""
    config = folder / "gateway.toml"
    config.write_text(CONFIG)
    data = folder / "data"
    spool = Spool(data / "spool.db")
    journal, outbox = Journal(spool, 10**9), Outbox(spool, ["store", "mqtt"], 10**6)
    # clip-1 is worn by OTHER, then HER, then OTHER again, within a minute: their entries share one compact block.
    t = START_NS
    turns = (
        ("clip-1", OTHER, 40),
        ("clip-1", HER, 50),
        ("clip-1", OTHER, 1000),
        ("clip-2", HER, 900),
        ("clip-3", LONGER, 30),
    )
    store = Store.open(data / "store.db")
    for sensor, wearer, n in turns:
        run = outbox.run(sensor, wearer, f"hash of {wearer}", journal.last_seq(sensor))
        begin = t
        for i in range(0, n, 10):
            journal.append(sensor, [payload(i + k, wearer, t + k * S // 20) for k in range(10)], durable=False)
            t += S // 2
        journal.append(sensor, [(CONTROL, controls.encode(Answer(f"of {wearer}", "done"), n * S, t))], durable=True)
        records = [Metric(begin + i * S, 3.25, 0.1, 1.5, "standing", 0.9, 1.0, 0.8) for i in range(n // 10)]
        records_of: list[Record] = [*records, event(wearer, sensor, begin)]
        outbox.store(run, 0, records_of, Snapshot(journal.last_seq(sensor), f"state of {wearer}".encode()))
        store.write(Owned(wearer, sensor, r) for r in records_of)
    with spool.transaction(durable=True) as db:
        for at, what in ((START_NS, b"o"), (START_NS + 3 * S, b"h")):
            body = b'{"t_utc_ns":%d,"x":"%s"}' % (at, what)
            db.execute(
                "INSERT INTO set_aside (sensor, kind, reason, body) VALUES ('clip-1', 'metric', 'bad', ?)", (body,)
            )
    sink = FileSink(folder / "ndjson", "home", "gw-1")
    sink.open()
    sink.write(outbox.read("store", 0, 10**6))
    for wearer in (HER, OTHER):
        append(data, partial(angle, wearer))
    for name, wearers, form in (("own", (HER,), "csv"), ("both", (), "csv"), ("both-parquet", (), "parquet")):
        export_store(store, Selection(wearers, form=form), folder / name)  # type: ignore[arg-type]
        registry.register(data, folder / name, wearers or (OTHER, HER, LONGER))
    store.close()
    outbox.confirm("store", outbox.last_seq())
    spool.close()
    return config


def angle(wearer: str, version: int) -> Offset:
    return offset_note(version, START_NS + version, wearer, PelvicOffset(11.0, "caliper", "th-03", START_NS, 2.0))


def event(wearer: str, sensor: str, t_utc_ns: int) -> Event:
    return Event(t_utc_ns, f"{wearer}-{sensor}-{t_utc_ns}"[:64], "answer", None, {"note": f"said by {wearer}"})


def others(path: Path, wearer: str = HER) -> str:
    """A hash over every row of other wearers in a file of SQLite, cell by cell; a journal's entries by their period."""
    digest = hashlib.sha256()
    db = sqlite3.connect(path)
    tables = sorted(
        r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    )
    for table in tables:
        columns = [r[1] for r in db.execute(f"PRAGMA table_info({table})")]
        if table == "journal":
            for (sensor,) in db.execute("SELECT DISTINCT sensor FROM journal ORDER BY sensor").fetchall():
                spans = [p for p in periods(db, sensor) if p.wearer not in (wearer, NOBODY)]
                for first, body in db.execute(
                    "SELECT first_seq, block FROM journal WHERE sensor = ? ORDER BY first_seq", (sensor,)
                ).fetchall():
                    for entry in block.decode(body, first):
                        if any(p.first <= entry.seq <= p.last for p in spans):
                            digest.update(repr((sensor, entry)).encode())
        elif "wearer" in columns:
            rows = db.execute(f"SELECT * FROM {table} WHERE wearer NOT IN (?, ?) ORDER BY 1, 2, 3", (wearer, NOBODY))
            digest.update(repr((table, rows.fetchall())).encode())
    db.close()
    return digest.hexdigest()
