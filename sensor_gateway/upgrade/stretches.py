"""Which entries of a salvaged journal are there and which are not: stretches by their numbers, for `salvage.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sensor_gateway.spool.block import Logged
from sensor_gateway.spool.journal import BLOCK_ENTRIES


@dataclass(frozen=True, slots=True)
class Lost:
    """Entries of a sensor's journal that are not there. ``wearer`` None: not known. The instants are those of the nearest entries
    that are there, None where there is none. ``perhaps``: they may have been dropped at a bound long ago.
    """

    wearer: str | None
    sensor: str
    entries: int
    from_utc_ns: int | None
    to_utc_ns: int | None
    perhaps: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """Consecutive entries of a sensor that are in the new spool, and when the first and the last of them arrived."""

    first: int
    last: int
    from_utc_ns: int
    to_utc_ns: int


def uncovered(first: int, last: int, covered: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of the entries first..last is not there yet."""
    left = [(first, last)]
    for low, high in covered:
        halves = [half for a, b in left for half in ((a, min(b, low - 1)), (max(a, high + 1), b))]
        left = [(a, b) for a, b in halves if a <= b]
    return left


def joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that do not overlap, those that touch as one: a journal is a few, however many blocks it has."""
    out: list[tuple[int, int]] = []
    for a, b in sorted(spans):
        if out and out[-1][1] + 1 == a:
            out[-1] = (out[-1][0], b)
        else:
            out.append((a, b))
    return out


def consecutive(entries: list[Logged]) -> Iterator[list[Logged]]:
    """Entries in order, cut where numbers are missing and where a block is full."""
    cuts = [i for i, (a, b) in enumerate(pairwise(entries), start=1) if b.seq != a.seq + 1]
    for start, stop in pairwise([0, *cuts, len(entries)]):
        for at in range(start, stop, BLOCK_ENTRIES):
            yield entries[at : min(at + BLOCK_ENTRIES, stop)]


def missing(sensor: str, kept: list[Kept], runs: Sequence[Sequence[Any]], named: Sequence[int]) -> Iterator[Lost]:
    """The stretches between those that are there, before the first and behind the last, a wearer at a time.

    ``runs``: the sensor's, in order, with the columns of `spool/schema.sql`; ``named``: numbers of entries that the file names.
    """
    last = max([*named, *(int(run[i]) for run in runs for i in (7, 9) if run[i] is not None), 0])
    edges = [Kept(0, 0, 0, 0), *kept, Kept(last + 1, last + 1, 0, 0)]
    for before, after in pairwise(edges):
        a, b = before.last + 1, after.first - 1
        turns = [*(int(run[4]) for run in runs), min(named, default=1)]
        starts = sorted({a, *(turn for turn in turns if a < turn <= b), b + 1}) if a <= b else []
        for start, stop in pairwise(starts):
            wearer = next((str(run[2]) for run in reversed(runs) if run[4] <= start), None)
            since = before.to_utc_ns if before.last else None
            until = after.from_utc_ns if after.last <= last else None
            perhaps = before.last == 0 and start < min(named, default=1)
            yield Lost(wearer, sensor, stop - start, since, until, perhaps)
