"""How long processes stood in line for a processor: what a recovery owes to the machine and not to us. From Linux's schedstat."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

Waits = dict[tuple[int, str], float]
"""Process and thread to the seconds it has been ready to run without running."""


def waits(pids: Iterable[int]) -> Waits:
    found: Waits = {}
    for pid in pids:
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError, ValueError, IndexError):
                    found[pid, task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return found


def longest_s(before: Waits, after: Waits) -> float:
    """The longest that any one thread stood in line in between; one that is new counts from its start."""
    return max((seconds - before.get(thread, 0.0) for thread, seconds in after.items()), default=0.0)
