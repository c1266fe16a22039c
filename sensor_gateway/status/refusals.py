"""What was refused at a door, counted by kind and said in the log: the page, commands over MQTT, the bridge's messages.

The counts begin with the process and stand in its report (`status/report.py`).

Whoever is refused may try a thousand times a second; the log then holds a few lines a minute and how many more there were.
Text that came from outside is shown as Python shows a string, cut short, so it can neither forge a line nor fill the disk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

log = logging.getLogger(__name__)

LINES_PER_MINUTE: Final = 20
SHOWN_CHARS: Final = 80


def shown(text: str | bytes) -> str:
    """Foreign text as it may stand in a log or an answer."""
    return repr(text[:SHOWN_CHARS])


class Refusals:
    """Counters by kind; used from the event loop and from threads."""

    def __init__(self, what: str, mono_s: Callable[[], float] = time.monotonic) -> None:
        """``what`` names the door: "page", "command", "message"."""
        self.what, self._mono_s = what, mono_s
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._minute_s, self._lines, self._silent = mono_s(), 0, 0

    def note(self, kind: str, who: str, why: str) -> None:
        """Count one refusal; ``who`` and ``why`` are safe to print (see `shown`)."""
        with self._lock:
            self._counts[kind] += 1
            more = 0
            if self._mono_s() - self._minute_s >= 60:
                self._minute_s, self._lines = self._mono_s(), 0
                more, self._silent = self._silent, 0
            self._lines += 1
            quiet = self._lines > LINES_PER_MINUTE
            self._silent += quiet
        if more:
            log.warning("%s: %d more were refused meanwhile", self.what, more)
        if not quiet:
            log.warning("%s refused (%s) from %s: %s", self.what, kind, who, why)

    def counts(self) -> dict[str, int]:
        """Refusals since the start, by kind."""
        with self._lock:
            return dict(self._counts)

    def total(self) -> int:
        with self._lock:
            return self._counts.total()


def by_door(doors: Iterable[Refusals]) -> dict[str, dict[str, int]]:
    """Door to kind to how many were refused; a door with nothing refused stands there too."""
    return {door.what: dict(sorted(door.counts().items())) for door in doors}
