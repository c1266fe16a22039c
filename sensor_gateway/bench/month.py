"""Thirty days of one wearer in the embedded store: the page's month, and an export of all seconds to Parquet.

The month is the simulated day of `day.py` thirty times, each a day later. Peers on the same rows: SQLite alone reading the columns that
the view needs, and pyarrow alone writing the exported table.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from processing.dictionary import KINDS
from processing.types import NS_PER_S
from sensor_gateway.bench.day import WEARER, live
from sensor_gateway.bench.machine import measured
from sensor_gateway.clock import SystemClock
from sensor_gateway.sinks.store import Store
from sensor_gateway.web.source import Source

DAYS: Final = 30
_DAY_NS: Final = 86_400 * NS_PER_S
_LOOKS: Final = 5

Progress = Callable[[float], None]


class _At(SystemClock):
    """A clock that stands at the end of the month."""

    def __init__(self, utc_ns: int) -> None:
        self._utc_ns = utc_ns

    def utc_ns(self) -> int:
        return self._utc_ns


def bench(folder: Path, hours: float = 24.0, seed: int = 1, progress: Progress | None = None) -> dict[str, Any]:
    """The view and the export; ``hours``: of each day. Raises `BenchError`."""
    tell = progress or (lambda _: None)
    day = live(folder, hours, seed)
    tell(0.4)
    path, out = folder / "month.db", folder / "month"
    _repeat(day, path)
    tell(0.6)
    view = _view(path)
    exported = measured("export", "--store", str(path), "--kind", "metrics", "--out", str(out), "--json")
    tell(0.95)
    table = pq.read_table(out / "metrics.parquet")
    began = time.process_time()
    pq.write_table(table, folder / "bare.parquet", compression="zstd", use_dictionary=["wearer", "sensor", "posture"])
    bare_s = time.process_time() - began
    return {
        "days": DAYS,
        "seconds": table.num_rows,
        "view": view,
        "bare_parquet_cpu_s": round(bare_s, 2),
        "metrics_to_parquet": exported.plain | {"ratio_to_bare_parquet": round(exported.cpu_s / bare_s, 2)},
    }


def _repeat(day: Path, month: Path) -> None:
    """All records of the day's store, `DAYS` times."""
    Store.open(day).close()  # what its log still holds goes into the file
    shutil.copyfile(day, month)
    db = sqlite3.connect(month, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        for kind, fields in KINDS.items():
            names = ("wearer", "sensor", *(f.name for f in fields))
            first = int(db.execute(f"SELECT coalesce(min(t_utc_ns), 0) FROM {kind}").fetchone()[0])
            for n in range(1, DAYS):
                later = {"t_utc_ns": f"t_utc_ns + {n * _DAY_NS}", "event_id": f"event_id || '-{n}'"}
                columns = ", ".join(later.get(name, name) for name in names)
                db.execute(
                    f"INSERT INTO {kind} ({', '.join(names)}) SELECT {columns} FROM {kind} WHERE t_utc_ns < ?",
                    (first + _DAY_NS,),
                )
        db.execute("COMMIT")
    finally:
        db.close()


def _view(path: Path) -> dict[str, Any]:
    """The page's `DAYS` days, asked for the first time after a start; the middle one of some looks [ms]."""
    store = Store.open(path, readonly=True)
    newest = store.latest_metric(WEARER)
    store.close()
    end_ns = 0 if newest is None else newest.t_utc_ns
    looks: list[tuple[float, float]] = []
    zone = ZoneInfo("Europe/Berlin")
    shown: dict[str, Any] = {}
    for _ in range(_LOOKS):
        source = Source(path, None, _At(end_ns), (WEARER,), 900)
        wall, cpu = time.perf_counter(), time.process_time()
        shown = source.trends(WEARER, DAYS, zone)
        looks.append((1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)))
        source.close()
    wall_ms, cpu_ms = sorted(looks)[_LOOKS // 2]
    bare_ms = _bare(path, end_ns)
    return {
        "days_with_data": sum(row["worn_h"] is not None for row in shown["days"]),
        "wall_ms": round(wall_ms, 1),
        "cpu_ms": round(cpu_ms, 1),
        "bare_select_cpu_ms": round(bare_ms, 1),
        "ratio_to_bare_select": round(cpu_ms / bare_ms, 2),
    }


def _bare(path: Path, end_ns: int) -> float:
    """SQLite alone: the medians of the month's minutes [CPU ms]."""
    db = sqlite3.connect(path)
    try:
        began = time.process_time()
        since = end_ns - DAYS * _DAY_NS
        db.execute(
            "SELECT t_utc_ns, tilt_median_deg FROM epoch WHERE wearer = ? AND t_utc_ns > ?", (WEARER, since)
        ).fetchall()
        return 1000 * (time.process_time() - began)
    finally:
        db.close()
