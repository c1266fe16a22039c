"""A simulated day at 100 Hz from its journal to the store, to a file of raw samples and to one of angles with steps, transfers and
bouts beside it, by the commands a person would give.

The day is lived once by `tiltline run`, as fast as it can. Beside it, on the same samples: plain VQF, and pyarrow alone writing the
same table.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from vqf import VQF

from processing.batch import BLOCK_S
from sensor_gateway.bench.machine import measured
from sensor_gateway.export.selection import COMPUTED_TABLES
from sensor_gateway.status.status import SPOOL_FILE, STORE_FILE

WEARER: Final = "w-001"
_BEGIN: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)
_CONFIG: Final = """\
[site]
data_dir = "data"
[[sensors]]
id = "clip-1"
wearer = "{wearer}"
driver = "synthetic"
rate_hz = 100.0
options = {{ seed = {seed}, start = "{begin}", until = "{until}", speed = 0.0 }}
[web]
enabled = false
"""

Progress = Callable[[float], None]


def live(folder: Path, hours: float, seed: int) -> Path:
    """Let a gateway live the day in ``folder``, unless it did so already; its store. Raises `BenchError`."""
    store, config = folder / "data" / STORE_FILE, folder / "gateway.toml"
    if not store.is_file():
        begin, until = _BEGIN.isoformat(), (_BEGIN + timedelta(hours=hours)).isoformat()
        config.write_text(_CONFIG.format(wearer=WEARER, seed=seed, begin=begin, until=until))
        measured("run", "--config", str(config), "--until-done", "--json")
    return store


def bench(folder: Path, hours: float = 24.0, seed: int = 1, progress: Progress | None = None) -> dict[str, Any]:
    """Journal to store, journal to raw samples and to angles, size of the journal. Raises `BenchError`."""
    tell = progress or (lambda _: None)
    live(folder, hours, seed)
    tell(0.5)
    config, again, raw = str(folder / "gateway.toml"), folder / "again.db", folder / "raw"
    replayed = measured("replay", "--config", config, "--out", str(again), "--json")
    tell(0.75)
    exported = measured("export", "--config", config, "--kind", "raw", "--out", str(raw), "--json")
    tell(0.85)
    angles = measured(
        "export", "--config", config, "--kind", ",".join(COMPUTED_TABLES), "--out", str(folder / "angles"), "--json"
    )
    tell(0.95)
    table = pq.read_table(raw / "raw.parquet")
    plain_s, bare_s = _plain_vqf(table), _bare(table, folder / "bare.parquet")
    counts = replayed.said["clip-1"]
    return {
        "hours": hours,
        "journal_mb_per_day": round(_journal_bytes(folder) / 1e6 * 24 / hours, 1),
        "samples": table.num_rows,
        "records": sum(counts["records"].values()),
        "plain_vqf_cpu_s": round(plain_s, 2),
        "journal_to_store": replayed.plain | {"ratio_to_plain_vqf": round(replayed.cpu_s / plain_s, 2)},
        "bare_parquet_cpu_s": round(bare_s, 2),
        "journal_to_raw": exported.plain | {"ratio_to_bare_parquet": round(exported.cpu_s / bare_s, 2)},
        "journal_to_angles": angles.plain | {"ratio_to_plain_vqf": round(angles.cpu_s / plain_s, 2)},
    }


def _journal_bytes(folder: Path) -> int:
    db = sqlite3.connect(folder / "data" / SPOOL_FILE)
    try:
        return int(db.execute("SELECT sum(size) FROM journal").fetchone()[0])
    finally:
        db.close()


def _plain_vqf(table: Any) -> float:
    gyr, acc = (
        np.column_stack([table.column(f"{kind}_{axis}_{unit}").to_numpy() for axis in "xyz"])
        for kind, unit in (("gyr", "rps"), ("acc", "mps2"))
    )
    # In the core's blocks: arrays of a whole day would add the system's time for half a gigabyte of new pages.
    plain, size = VQF(0.01), BLOCK_S * 100
    began = time.process_time()
    for at in range(0, len(gyr), size):
        plain.updateBatch(gyr[at : at + size], acc[at : at + size])
    return time.process_time() - began


def _bare(table: Any, path: Path) -> float:
    began = time.process_time()
    pq.write_table(table, path, compression="zstd", use_dictionary=["wearer", "sensor"])
    return time.process_time() - began
