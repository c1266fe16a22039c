"""Processor time of a piece of work, for bars that guard against work that grows where it must not."""

from __future__ import annotations

import time
from collections.abc import Callable


def least_cpu_s(work: Callable[[], object], times: int = 3) -> float:
    """The cheapest of several runs [s]: a garbage collection of the whole test process, or a busy sibling core, only adds."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)
