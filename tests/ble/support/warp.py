"""An event loop whose time is its own: where nothing is ready it goes on to the next thing that is due, at once.

A simulated hour takes as long as what happens in it, and comes out the same on any machine however busy it is.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_LEAST_S = 1e-6  # beyond what a float of seconds loses, or the loop would turn on the spot


class _Idle(selectors.SelectSelector):
    """Never waits: what would have been waited for is told to ``passed``."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout != 0:
            if timeout is None:
                raise RuntimeError("everything waits for ever: nothing is due in this loop")
            self._passed(max(timeout, _LEAST_S))
        return events


class WarpLoop(asyncio.SelectorEventLoop):
    """Its time begins at 1000 s."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        super().__init__(_Idle(self._pass))

    def _pass(self, seconds: float) -> None:
        self.now_s += seconds

    def time(self) -> float:
        return self.now_s


class LoopClock:
    """The gateway's clocks, shown by the running loop."""

    def __init__(self, utc0_ns: int) -> None:
        self._utc0_ns = utc0_ns

    def mono_ns(self) -> int:
        return round(asyncio.get_running_loop().time() * 1e9)

    def utc_ns(self) -> int:
        return self._utc0_ns + self.mono_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(life: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in time of its own."""
    with asyncio.Runner(loop_factory=WarpLoop) as runner:
        return runner.run(life)
