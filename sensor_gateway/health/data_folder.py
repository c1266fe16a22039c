"""The data folder: can it be written, is there space, are its SQLite files whole; part of `tiltline doctor`."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sensor_gateway.commands.ledger import LEDGER_FILE
from sensor_gateway.health.finding import Finding
from sensor_gateway.sqlite_faults import DAMAGED, remedy
from sensor_gateway.status.status import BRIDGE_FILE, SPOOL_FILE, STORE_FILE

MIN_FREE_MB: Final = 2_000
"""About a month of one wearer's raw data."""
READ_S: Final = 10.0
"""For how long each file is read; months of raw data take longer, and `tiltline backup` with `--verify` reads all of them."""
_STEPS: Final = 100_000  # of SQLite's machine, between two looks at the clock


def folder_findings(folder: Path) -> Iterator[Finding]:
    """Of the folder, then of each file that is not in order."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    if not os.access(existing, os.W_OK):
        yield Finding("data folder", "problem", f"{existing} cannot be written", "change site.data_dir or its owner")
    elif free_mb < MIN_FREE_MB:
        free = f"free at least {MIN_FREE_MB} MB or move site.data_dir"
        yield Finding("data folder", "problem", f"{free_mb} MB free in {existing}", free)
    else:
        yield Finding("data folder", "ok", f"{folder} ({free_mb // 1000} GB free)")
    for name in (SPOOL_FILE, STORE_FILE, BRIDGE_FILE, LEDGER_FILE):
        if (folder / name).is_file():
            yield from _file(folder / name)


def _file(path: Path) -> Iterator[Finding]:
    until_s = time.monotonic() + READ_S
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            db.set_progress_handler(lambda: time.monotonic() > until_s, _STEPS)
            said = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error as e:
        if getattr(e, "sqlite_errorcode", 0) != sqlite3.SQLITE_INTERRUPT:
            yield Finding("data file", "problem", f"{path}: {e}", remedy(e))
        return
    if said != "ok":
        yield Finding("data file", "problem", f"{path}: {' '.join(said.split())}", DAMAGED)
