"""How Python and the C library look after memory: in commands that compute for seconds on arrays and hold a day of records, and in
services that run for months.
"""

from __future__ import annotations

import ctypes
import gc
import platform
from functools import cache
from typing import Final

_NEW_OBJECTS: Final = 1_000_000  # more than the records of a week
_NEW_OF_A_SERVICE: Final = 50_000  # some ten megabytes; what is searched for is rare, and small
_TRIM_THRESHOLD: Final = -1  # names of glibc's malloc.h
_MMAP_THRESHOLD: Final = -3
_LARGEST_KEPT: Final = 32 * 2**20  # glibc's own limit; an array of minutes is a hundredth to a third of it
_KEPT: Final = 128 * 2**20


@cache
def for_long_computing() -> None:
    """Both of what follows; at the start of a command, or of a cluster worker's first partition. Once in a process: what is
    garbage at a second call would be kept for good.
    """
    _collect_rarely(_NEW_OBJECTS)
    _keep_freed_memory()


def for_a_service() -> None:
    """At a service's start. Every second makes hundreds of objects for each sensor, and hardly any of them is garbage of this kind."""
    _collect_rarely(_NEW_OF_A_SERVICE)


def give_back() -> None:
    """Between two long parts of a command: return to the system what the first one needed, lest its memory stand beside the other's."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _collect_rarely(new_objects: int) -> None:
    """Leave what is loaded out of every further search for cyclic garbage, and search after many new objects only.

    The search found none and took a tenth of the time.
    """
    gc.freeze()
    gc.set_threshold(new_objects, 20, 100)


def _keep_freed_memory() -> None:
    """Use memory of arrays that are gone for the next ones, instead of giving it back to the system each time.

    The system clears every page it gives out anew: a seventh of the time of the numeric core. Does nothing without glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
    mallopt(_TRIM_THRESHOLD, _KEPT)
