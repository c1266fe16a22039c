"""Memory of a process and of all it starts, looked at while they run.

The system keeps the peak of each process alone. Of several at once only a look at one moment tells, and pages they share (the code of
libraries) are divided among those who hold them: the proportional set size of Linux.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_EVERY_S: Final = 0.2
_PROC: Final = Path("/proc")


class Watch:
    """Looks five times a second, for as long as the ``with`` lasts, whether a process has others at work for it.

    ``most_mb``: the most they held together at one of these moments; 0 where it worked alone, or the system does not tell.
    """

    def __init__(self, pid: int) -> None:
        self.most_mb = 0.0
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(_EVERY_S):
            family = list(_family(self._pid))
            if len(family) > 1:  # a look at one costs some milliseconds, and its own peak is known anyway
                self.most_mb = max(self.most_mb, sum(map(_held_mb, family)))


def _family(pid: int) -> Iterator[int]:
    """The process and its descendants."""
    yield pid
    for listed in (_PROC / str(pid) / "task").glob("*/children"):
        for child in _text(listed).split():
            yield from _family(int(child))


def _held_mb(pid: int) -> float:
    """Proportional set size of one process; 0 where it has ended."""
    lines = _text(_PROC / str(pid) / "smaps_rollup").splitlines()
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith("Pss:")), 0.0)


def _text(path: Path) -> str:
    """What the system says there; nothing where the process has ended meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""
