"""The verdict on a tortured site: database, store and files hold exactly the undisturbed run's records; the books balance."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from processing.dictionary import KINDS, MEASUREMENT
from sensor_gateway.sinks.store import Store
from sensor_gateway.status.status import bridge_books, gateway_books
from tests.integration.servers import Influxd

Rows = dict[tuple[Any, ...], dict[str, Any]]
SHOWN = 5
_64 = (1 << 64) - 1


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


def under_any_study(rows: dict[str, Rows]) -> dict[str, Rows]:
    """The rows with their events known by time, type and rule: ids and labels hold the study's name, all else does not."""
    names = {row["event_id"]: _name(key, row) for key, row in rows["event"].items()}
    seen: Counter[str] = Counter()
    events: Rows = {}
    for row in rows["event"].values():
        name = names[row["event_id"]]
        seen[name] += 1
        events[name, seen[name]] = row | {"event_id": name, "data": _renamed(row["data"], names)}
    return rows | {"event": events}


def _name(key: tuple[Any, ...], row: dict[str, Any]) -> str:
    return f"{key[0]} {key[1]} {row['t_utc_ns']} {row['type']} {row.get('rule')}"


def _renamed(data: Any, names: dict[str, str]) -> Any:
    if isinstance(data, dict):
        return {k: _renamed(v, names) for k, v in data.items() if k not in ("study_hash", "study_version")}
    if isinstance(data, list):
        return [_renamed(v, names) for v in data]
    return names.get(data, data) if isinstance(data, str) else data


Prints = dict[str, tuple[int, int]]
"""Kind to the number of records and the sum of their hashes: equal where the same records lie there, in whatever order."""


def fingerprints_of_store(store_path: Path) -> Prints:
    """Of an embedded store, a page at a time."""
    store = Store.open(store_path, readonly=True)
    out: Prints = {}
    for kind, fields in KINDS.items():
        count = total = 0
        for wearer in store.wearers():
            for page in store.columns(kind, wearer):
                names = [f.name for f in fields]
                for sensor, *values in zip(page["sensor"], *(page[name] for name in names), strict=True):
                    count += 1
                    total += _hash(wearer, str(sensor), zip(names, values, strict=True))
        out[kind] = (count, total & _64)
    store.close()
    return out


def fingerprints_of_database(influx: Influxd, begin_ns: int, end_ns: int, step_ns: int) -> Prints:
    """Of InfluxDB between two times, a stretch at a time."""
    out: Prints = {}
    for kind, fields in KINDS.items():
        count = total = 0
        for at in range(begin_ns, end_ns, step_ns):
            where = f"WHERE time >= {at} AND time < {at + step_ns}"
            for point in influx.query(f'SELECT * FROM "{MEASUREMENT[kind]}" {where}'):
                row = {f.name: point.get(f.name) for f in fields} | {"t_utc_ns": point["time"]}
                if kind == "event":
                    row["data"] = point["data_json"]
                count += 1
                total += _hash(point["wearer"], point["sensor"], row.items())
        out[kind] = (count, total & _64)
    return out


def _hash(wearer: str, sensor: str, values: Iterable[tuple[str, Any]]) -> int:
    known = sorted((name, _plain(name, value)) for name, value in values if value is not None)
    text = json.dumps([wearer, sensor, known], sort_keys=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _plain(name: str, value: Any) -> Any:
    if name == "data":
        return json.loads(value)
    # InfluxDB prints a whole float without its point.
    return float(value) if isinstance(value, int) and name != "t_utc_ns" else value


def judge(
    site_folder: Path, influx: Influxd, want: dict[str, Rows], any_study: bool = False
) -> tuple[list[str], dict[str, Any]]:
    """What is wrong (empty: nothing), and the numbers. Gateway and bridge must have ended."""
    have, points = database_rows(influx)
    stored = expected_rows(site_folder / "gateway" / "data" / "store.db")
    if any_study:
        want, have, stored = map(under_any_study, (want, have, stored))
    wrong = compare("database", want, have)
    count = sum(map(len, want.values()))
    if points != count:
        wrong.append(f"database: {points} points for {count} records")
    wrong += compare("embedded store", want, stored)
    return wrong + judge_files(site_folder, count), {"records": count, "books": books(site_folder)}


def judge_fingerprints(site_folder: Path, influx: Influxd, want: Prints, span_ns: tuple[int, int]) -> list[str]:
    """As `judge`, for more records than fit into memory: what differs is counted, not listed."""
    step_ns = 2 * 3_600_000_000_000
    wrong = []
    for where, have in (
        ("database", fingerprints_of_database(influx, *span_ns, step_ns)),
        ("embedded store", fingerprints_of_store(site_folder / "gateway" / "data" / "store.db")),
    ):
        wrong += [
            f"{where}: {have[kind][0]} {kind} records of {want[kind][0]}, or others"
            for kind in KINDS
            if have[kind] != want[kind]
        ]
    return wrong + judge_files(site_folder, sum(n for n, _ in want.values()))


def books(site_folder: Path) -> dict[str, dict[str, int]]:
    """Every hop's books."""
    return {
        hop.name: {
            "received": hop.received,
            "written": hop.written,
            "rejected": hop.rejected,
            "dropped": hop.dropped,
            "queued": hop.queued,
        }
        for part in (
            gateway_books(site_folder / "gateway" / "data", count_all=True),
            bridge_books(site_folder / "bridge" / "data"),
        )
        for hop in part.hops
    }


def judge_files(site_folder: Path, count: int) -> list[str]:
    """Text files, SQLite files and books."""
    wrong = _text_files(site_folder / "gateway" / "ndjson", count) + _files_open(site_folder)
    for name, row in books(site_folder).items():
        if row["received"] != sum(row[part] for part in ("written", "rejected", "dropped", "queued")):
            wrong.append(f"{name}: the books do not balance: {row}")
        if row["rejected"] or row["dropped"] or row["queued"]:
            wrong.append(f"{name}: something was left over: {row}")
        if name != "journal" and row["received"] != count:
            wrong.append(f"{name}: received {row['received']} records of {count}")
    return wrong


def _text_files(folder: Path, count: int) -> list[str]:
    """Every line of every file can be read, and every record stands there exactly once."""
    seen: Counter[int] = Counter()
    for path in folder.glob("*.ndjson"):
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
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
