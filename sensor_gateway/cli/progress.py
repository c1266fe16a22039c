"""Progress on stderr for work that takes longer than two seconds: one rewritten line on a terminal, a line now and then
elsewhere.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

QUIET_S = 2.0
_TERMINAL_EVERY_S = 0.2
_LOG_EVERY_S = 10.0


class Progress:
    """Call it with the share done (0..1); it decides what to show and cleans up behind itself."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self.label = label
        self._out = stream or sys.stderr
        self._terminal = self._out.isatty()
        self._next = time.monotonic() + QUIET_S
        self._first: tuple[float, float] | None = None
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now, share  # what came before (reading the file) says nothing about what is left
        if now < self._next:
            return
        self._next = now + (_TERMINAL_EVERY_S if self._terminal else _LOG_EVERY_S)
        since, done = now - self._first[0], share - self._first[1]
        left = f", about {since / done * (1 - share):.0f} s left" if done > 0.01 else ""
        text = f"{self.label}: {share:.0%}{left}"
        self._out.write(f"\r{text:<78}" if self._terminal else f"{text}\n")
        self._out.flush()
        self._shown = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._terminal:
            self._out.write(f"\r{'':<78}\r")
            self._out.flush()
