"""What a sink is: something that takes outbox records in order and says which of them are durable.

Each sink runs in a thread of its own over its own view of the outbox (`Source`). Its cursor moves only when it confirms, and
it may see a record again after a crash, so each sink takes a repeat without doubling it. Most sinks are a `Writer` that
`run_writer` keeps supplied; the MQTT sink, whose confirmations come from afar, has a loop of its own.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from processing.types import Record
from sensor_gateway.spool.database import SpoolFullError
from sensor_gateway.wire.messages import Entry

log = logging.getLogger(__name__)

BATCH: Final = 2000
AGAIN_S: Final = 600.0
_BACKOFF_MAX_S: Final = (
    6.0  # a link that is mended is used again within ten seconds; a site has tens of clients, not thousands
)


class SinkError(Exception):
    """A sink cannot take records now; the text names the sink and the remedy. The records stay in the outbox."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A record with the wearer and the sensor it belongs to (pseudonyms)."""

    wearer: str
    sensor: str
    record: Record


class Source(Protocol):
    """One sink's view of the outbox (`spool.outbox.SinkView`)."""

    @property
    def spool_id(self) -> str: ...
    def read(self, after: int, limit: int) -> list[Entry]: ...
    def cursor(self) -> int: ...
    def confirm(self, seq: int) -> None: ...
    def last_seq(self) -> int: ...
    def queued(self) -> int: ...
    def counters(self) -> dict[str, int]: ...
    def wait(self, timeout_s: float) -> None:
        """Return when rows were added, or after the timeout."""
        ...


class Sink(Protocol):
    """A consumer of the outbox; ``name`` is the key of its cursor and never changes."""

    name: str

    def run(self, source: Source, stop: threading.Event) -> None:
        """Deliver until ``stop`` is set; outages are waited out, never raised."""
        ...


class Writer(Protocol):
    """A sink that has made everything durable when `write` returns; ``trouble`` says why it cannot at the moment."""

    trouble: str | None

    def open(self) -> None: ...
    def write(self, entries: Sequence[Entry]) -> None: ...
    def close(self) -> None: ...


class Backoff:
    """Growing pauses with full jitter: many clients of one server must not come back in step."""

    def __init__(self, first_s: float = 0.5, most_s: float = _BACKOFF_MAX_S) -> None:
        self._first, self._most = first_s, most_s
        self.failures = 0

    def next_s(self, at_least_s: float = 0.0) -> float:
        """The pause after one more failure; ``at_least_s`` is what the other side asked for."""
        bound = min(self._most, self._first * 2 ** min(self.failures, 20))
        self.failures += 1
        return at_least_s + random.uniform(bound / 2, bound)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        self.failures = 0


class Complaints:
    """How loud a trouble is in the log: attempts are seconds apart and may go on for days, so the same words are a warning every
    ten minutes, and in between for who asked to hear more.
    """

    def __init__(self) -> None:
        self._said_s: dict[str, float] = {}

    def level(self, text: str) -> int:
        now_s = time.monotonic()
        self._said_s = {said: at_s for said, at_s in self._said_s.items() if now_s - at_s < AGAIN_S}
        if text in self._said_s:
            return logging.INFO
        self._said_s[text] = now_s
        return logging.WARNING


def run_writer(name: str, writer: Writer, source: Source, stop: threading.Event) -> None:
    """Supply a writer until ``stop``; after an error it is opened anew and gets the same records again."""
    backoff, complaints = Backoff(), Complaints()
    is_open = False
    while not stop.is_set():
        try:
            if not is_open:
                writer.open()
                is_open = True
            entries = source.read(source.cursor(), BATCH)
            if not entries:
                source.wait(1.0)
                continue
            writer.write(entries)
            source.confirm(entries[-1].seq)
            writer.trouble = None
            backoff.reset()
        except (SinkError, SpoolFullError) as e:
            pause_s = backoff.next_s()
            loud = complaints.level(str(e))
            log.log(loud, "%s sink: %s; records wait in the outbox, next try in %.0f s", name, e, pause_s)
            writer.trouble = f"{name} sink: {e}"
            writer.close()
            is_open = False
            stop.wait(pause_s)
    if is_open:
        writer.close()
