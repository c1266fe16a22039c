"""Token buckets by key, for rate limits: a burst, then so many a second; the table of keys is bounded too."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MOST_KEYS: Final = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` at once, ``per_s`` in the long run."""

    burst: float
    per_s: float


class Buckets:
    """One bucket for each key (a client's address, who signs a command). The least recently seen key is forgotten first."""

    def __init__(self, rate: Rate, mono_s: Callable[[], float] = time.monotonic) -> None:
        self.rate, self._mono_s = rate, mono_s
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Take one; 0 where there was one, otherwise the seconds until there will be."""
        with self._lock:
            now_s = self._mono_s()
            level, at_s = self._held.pop(key, (self.rate.burst, now_s))
            level = min(self.rate.burst, level + max(0.0, now_s - at_s) * self.rate.per_s)
            wait_s = 0.0 if level >= 1 else (1 - level) / self.rate.per_s
            self._held[key] = (level if wait_s else level - 1, now_s)
            while len(self._held) > MOST_KEYS:
                self._held.popitem(last=False)
            return wait_s
