"""The sink that appends every record to a text file a day (NDJSON, by the record's UTC date).

A line is the message that MQTT would carry, spool id and sequence number included. They let a restart find where it was: the
last whole line of the newest files. A line torn by a crash is cut off.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Final

from sensor_gateway.sinks.base import SinkError, Source, run_writer
from sensor_gateway.wire.messages import Entry, MessageError, decode_message, encode_message

_TAIL: Final = 256 * 1024
DAY_NS: Final = 86_400 * 1_000_000_000


class FileSink:
    """Writes `records-YYYY-MM-DD.ndjson` files into ``folder``."""

    name = "file"

    def __init__(self, folder: Path, site: str, gateway: str) -> None:
        self._folder, self._site, self._gateway = folder, site, gateway
        self.trouble: str | None = None
        self._spool = ""
        self._written = 0

    def run(self, source: Source, stop: threading.Event) -> None:
        self._spool = source.spool_id
        run_writer(self.name, self, source, stop)

    def open(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Lines are written in the order of their numbers, so the highest one found is where to go on.
            self._written = max((self._mend(path) for path in self._folder.glob("records-*.ndjson")), default=0)
        except OSError as e:
            raise SinkError(f"{self._folder}: cannot be used ({e}); check 'file.directory'") from e

    def write(self, entries: Sequence[Entry]) -> None:
        new = [entry for entry in entries if entry.seq > self._written]
        try:
            for day, group in groupby(new, key=lambda e: e.t_utc_ns // DAY_NS):
                part = list(group)
                date = datetime.fromtimestamp(day * 86_400, UTC).date()
                self._append(self._folder / f"records-{date.isoformat()}.ndjson", part)
                self._written = part[-1].seq
        except OSError as e:
            raise SinkError(f"{self._folder}: cannot be written ({e}); free space on this disk") from e

    def _append(self, path: Path, entries: Sequence[Entry]) -> None:
        lines = [encode_message(e, self._site, self._gateway, self._spool) for e in entries]
        with path.open("ab") as file:
            file.write(b"\n".join([*lines, b""]))
            file.flush()
            os.fsync(file.fileno())

    def _mend(self, path: Path) -> int:
        """Cut off a torn last line; the highest sequence number of this spool in the file's end, 0 where there is none."""
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(max(0, size - _TAIL))
            tail = file.read()
            whole = tail.rfind(b"\n") + 1
            if whole < len(tail):
                file.truncate(size - len(tail) + whole)
        newest = 0
        for line in reversed(tail[:whole].split(b"\n")):
            with suppress(MessageError):
                message = decode_message(line)
                if message.spool == self._spool:
                    newest = message.seq
                    break
        return newest

    def close(self) -> None:
        """Nothing stays open between writes."""
