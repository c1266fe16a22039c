"""The verdict on a tortured site: database, store and files hold exactly the undisturbed run's records; the books balance."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from processing.dictionary import KINDS, MEASUREMENT
from sensor_gateway.sinks.store import Store
from sensor_gateway.status import bridge_books, gateway_books
from tests.integration.servers import Influxd

Rows = dict[tuple[Any, ...], dict[str, Any]]
SHOWN = 5


def expected_rows(store_path: Path) -> dict[str, Rows]:
    """Every record of a store by kind and key, missing values left out."""
    store = Store.open(store_path, readonly=True)
    out: dict[str, Rows] = {}
    for kind, fields in KINDS.items():
        rows: Rows = {}
        for wearer in store.wearers():
            for page in store.columns(kind, wearer):
                for i, sensor in enumerate(page["sensor"]):
                    row = {f.name: page[f.name][i] for f in fields if page[f.name][i] is not None}
                    if kind == "event":
                        row["data"] = json.loads(str(row["data"]))
                    rows[_key(kind, wearer, str(sensor), row)] = row
        out[kind] = rows
    store.close()
    return out


def _key(kind: str, wearer: str, sensor: str, row: dict[str, Any]) -> tuple[Any, ...]:
    return (wearer, sensor, row["t_utc_ns"], row.get("event_id", "") if kind == "event" else "")


def database_rows(influx: Influxd) -> tuple[dict[str, Rows], int]:
    """The same of InfluxDB; and how many points there are in all, which shows doubles."""
    out: dict[str, Rows] = {}
    total = 0
    for kind, fields in KINDS.items():
        rows: Rows = {}
        for point in influx.query(f'SELECT * FROM "{MEASUREMENT[kind]}"'):
            total += 1
            row = {f.name: point[f.name] for f in fields if point.get(f.name) is not None} | {"t_utc_ns": point["time"]}
            if kind == "event":
                row["data"] = json.loads(point["data_json"])
            rows[_key(kind, point["wearer"], point["sensor"], row)] = row
        out[kind] = rows
    return out, total


def compare(where: str, want: dict[str, Rows], have: dict[str, Rows]) -> list[str]:
    """Every way in which they differ, in words."""
    found = []
    for kind in KINDS:
        lost = [key for key in want[kind] if key not in have[kind]]
        added = [key for key in have[kind] if key not in want[kind]]
        changed = [key for key, row in want[kind].items() if key in have[kind] and have[kind][key] != row]
        for what, keys in (("lost", lost), ("that nobody computed", added), ("with other values", changed)):
            if keys:
                found.append(f"{where}: {len(keys)} {kind} records {what}, e.g. {keys[:SHOWN]}")
    return found


def judge(site_folder: Path, influx: Influxd, want: dict[str, Rows]) -> tuple[list[str], dict[str, Any]]:
    """What is wrong (empty: nothing), and the numbers. Gateway and bridge must have ended."""
    have, points = database_rows(influx)
    wrong = compare("database", want, have)
    count = sum(map(len, want.values()))
    if points != count:
        wrong.append(f"database: {points} points for {count} records")
    wrong += compare("embedded store", want, expected_rows(site_folder / "gateway" / "data" / "store.db"))
    wrong += _text_files(site_folder / "gateway" / "ndjson", count)
    wrong += _files_open(site_folder)
    books: dict[str, Any] = {}
    for books_of in (
        gateway_books(site_folder / "gateway" / "data", count_journal=True),
        bridge_books(site_folder / "bridge" / "data"),
    ):
        for hop in books_of.hops:
            books[hop.name] = {
                "received": hop.received,
                "written": hop.written,
                "rejected": hop.rejected,
                "dropped": hop.dropped,
                "queued": hop.queued,
            }
            if hop.missing:
                wrong.append(f"{hop.name}: received and accounted for differ by {hop.missing}: {books[hop.name]}")
            if hop.rejected or hop.dropped or hop.queued:
                wrong.append(f"{hop.name}: something was left over: {books[hop.name]}")
            if hop.name != "journal" and hop.received != count:
                wrong.append(f"{hop.name}: received {hop.received} records of {count}")
    return wrong, {"records": count, "books": books}


def _text_files(folder: Path, count: int) -> list[str]:
    """Every line of every file can be read, and every record stands there exactly once."""
    seen: Counter[int] = Counter()
    for path in folder.glob("*.ndjson"):
        for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
            try:
                seen[json.loads(line)["seq"]] += 1
            except (ValueError, KeyError):
                return [f"text files: {path.name}, line {number} cannot be read"]
    doubled = [seq for seq, n in seen.items() if n > 1]
    wrong = [f"text files: {len(doubled)} records twice, e.g. {doubled[:SHOWN]}"] if doubled else []
    return wrong if len(seen) == count else [*wrong, f"text files: {len(seen)} records of {count}"]


def _files_open(folder: Path) -> list[str]:
    wrong = []
    for path in sorted(folder.glob("*/data/*.db")):
        if path.name == "mosquitto.db":
            continue
        db = sqlite3.connect(path)
        answer = db.execute("PRAGMA integrity_check").fetchone()[0]
        db.close()
        if answer != "ok":
            wrong.append(f"{path.name}: {answer}")
    return wrong
