"""
What a sink is: something that takes outbox records in order and says which of them are durable.

The outbox (`spool/outbox.py`) hands over `Entry` objects; a sink's cursor moves only when `Sink.confirmed` does. Sinks
may see a record again after a crash, so each must take a repeat without doubling it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from processing.types import Record


class SinkError(Exception):
    """A sink cannot take records now; the text names the sink and the remedy. The records stay in the outbox."""


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One outbox row: the record as the JSON object it was stored as, whom it belongs to, and its place in the queue.

    ``seq`` numbers the rows of one spool from 1; ``after`` is the row before it that the spool still held when this
    one was read (``floor - 1`` for the first), ``floor`` the lowest it held. A receiver that has everything up to
    ``after`` has everything up to ``seq`` with this row, whatever was dropped or delivered in between.
    """

    seq: int
    after: int
    floor: int
    wearer: str
    sensor: str
    kind: str
    t_utc_ns: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Owned:
    """A record with the wearer and the sensor it belongs to (pseudonyms)."""

    wearer: str
    sensor: str
    record: Record


class Sink(Protocol):
    """A consumer of the outbox with its own cursor, kept under ``name``."""

    @property
    def name(self) -> str: ...
    def open(self) -> None:
        """Get ready; raises `SinkError` with a remedy."""
        ...

    def write(self, entries: Sequence[Entry]) -> int:
        """Make ``entries`` (ascending ``seq``) durable; the highest ``seq`` up to which all is durable now."""
        ...

    def close(self) -> None: ...
