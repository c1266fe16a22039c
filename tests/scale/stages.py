"""How long after its end a second of life comes through each place on its way: part of `watched.py`.

The functions that a record passes are wrapped, and the time is noted once they are through.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from processing.types import Metric
from sensor_gateway.bridge.queue import Bad, BridgeQueue, Good
from sensor_gateway.group import Group
from sensor_gateway.mqtt_link import Link
from sensor_gateway.spool.outbox import Outbox
from sensor_gateway.wire.line import Queued
from sensor_gateway.wire.messages import decode_message

NS = 1_000_000_000
METRIC_LINE = "tilt,"
AGE_MOST_S = 60.0


class Stages:
    """Ages of seconds [s], by place."""

    def __init__(self) -> None:
        self.ages: dict[str, list[float]] = defaultdict(list)
        self._stored: list[int] = []
        self._taken: dict[int, int] = {}

    def begin(self) -> None:
        """Before the command makes its objects."""
        _after(Outbox, "store", self._store)
        _after(Group, "_together", self._committed)
        _after(Link, "publish", self._published)
        _after(BridgeQueue, "receive", self._received)
        _after(BridgeQueue, "take", self._take)
        _after(BridgeQueue, "settle", self._settled)

    def _note(self, place: str, times_ns: Sequence[int]) -> None:
        now = time.time()
        self.ages[place] += [now - t / NS - 1.0 for t in times_ns]

    def _store(self, _result: int, _outbox: Any, _run: Any, _first: int, records: Sequence[Any], *_: Any) -> None:
        self._stored += [r.t_utc_ns for r in records if isinstance(r, Metric)]

    def _committed(self, *_: Any) -> None:
        self._note("computed and committed", self._stored)
        self._stored = []

    def _published(self, _result: int, _link: Any, topic: str, payload: bytes, **_: Any) -> None:
        if topic.endswith("/metric"):
            self._note("handed to MQTT", [decode_message(payload).t_utc_ns])

    def _received(self, _result: None, _queue: Any, arrivals: Sequence[Good | Bad]) -> None:
        came = [a.message for a in arrivals if a.message is not None]
        self._note("in the bridge's queue", [m.t_utc_ns for m in came if m.kind == "metric"])

    def _take(self, rows: list[Queued], *_: Any) -> None:
        self._taken = {row.id: int(row.line.rsplit(" ", 1)[1]) for row in rows if row.line.startswith(METRIC_LINE)}

    def _settled(self, _result: None, _queue: Any, written: Sequence[int], *_: Any) -> None:
        self._note("in the database", [self._taken[i] for i in written if i in self._taken])

    def summary(self) -> list[tuple[str, float, float]]:
        """Place, median and p95 of what was not caught up from long ago."""
        rows = []
        for place, ages in self.ages.items():
            recent = sorted(age for age in ages if age < AGE_MOST_S) or [0.0]
            rows.append((place, recent[len(recent) // 2], recent[int(0.95 * len(recent))]))
        return rows


def _after(owner: type, name: str, then: Callable[..., None]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def both(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        then(result, *args, **kwargs)
        return result

    setattr(owner, name, both)
