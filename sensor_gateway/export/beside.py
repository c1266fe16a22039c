"""Writing beside reading: a thread that takes calls in order while the next tables are made. Both spend their time outside of Python."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, ParamSpec, Self

AHEAD: Final = 16
"""Calls that may wait, each with its table in memory."""
P = ParamSpec("P")


class Beside:
    """`do` calls one after the other in a thread; what one of them raises comes out of a later `do` or of the block's end."""

    def __init__(self, ahead: int = AHEAD) -> None:
        """``ahead``: how many calls may wait."""
        self._ahead = ahead
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def do(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call it when its turn comes; waits where too many are waiting already."""
        self._waiting.append(self._thread.submit(call, *args, **kwargs))
        if len(self._waiting) > self._ahead:
            self._waiting.popleft().result()

    def finish(self) -> None:
        """Wait for all."""
        while self._waiting:
            self._waiting.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self._thread.shutdown(cancel_futures=True)
