"""The sink that fills the embedded store (`store.py`): the default, and all that a gateway without a broker needs."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from sensor_gateway.clock import SystemClock
from sensor_gateway.sinks.base import Owned, SinkError, Source, run_writer
from sensor_gateway.sinks.makers import COMPUTING, installed
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.sqlite_faults import remedy
from sensor_gateway.wire.messages import Entry, decode_record

log = logging.getLogger(__name__)


class StoreSink:
    """Writes every record into the store at ``path``; a repeat replaces itself."""

    name = "store"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble: str | None = None
        self._store: Store | None = None

    def run(self, source: Source, stop: threading.Event) -> None:
        if source.cursor() and not (self.path.is_file() and self.path.stat().st_size):
            told = (
                "a new store begins; what it lacks comes from the journal: see 'A damaged file' in docs/operations.md"
            )
            log.warning("%s is gone, though records had been written to it; %s", self.path, told)
        run_writer(self.name, self, source, stop)

    def open(self) -> None:
        try:
            self._store = Store.open(self.path)
            self._store.sign(SystemClock().utc_ns(), installed(*COMPUTING))
        except StoreError as e:
            raise SinkError(str(e)) from e
        except sqlite3.Error as e:
            raise self._unwritable(e) from e

    def write(self, entries: Sequence[Entry]) -> None:
        if self._store is None:
            raise SinkError(f"{self.path}: is not open")
        try:
            self._store.write(Owned(e.wearer, e.sensor, decode_record(e.kind, e.body)) for e in entries)
        except sqlite3.Error as e:
            raise self._unwritable(e) from e

    def _unwritable(self, e: sqlite3.Error) -> SinkError:
        return SinkError(f"{self.path}: cannot be written ({e}); {remedy(e, 'free space on this disk')}")

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
