"""What another derivation of the same days changed: per wearer and kind, where and how much, flags gained and lost.

`tiltline replay --diff FILE`; `report.py` writes it down. Two stores are walked together in the order of time; memory holds the counts, the largest
change of each column, and the flags that differ. Flags are matched by rule and instant, not by id: an id holds the study's
hash, so another study renames every one of them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from processing.dictionary import KINDS
from sensor_gateway.sinks.store import Store

_NAMED: Final = ("event_id", "data", "t_utc_ns", "sensor")
"""Columns of no size of their own: an event counts by what happened when, its data follow from the study."""


@dataclass(slots=True)
class Change:
    """One column of one kind: rows with another value, and the largest step with its instant (None: not a number)."""

    rows: int = 0
    largest: float | None = None
    at_utc_ns: int | None = None


@dataclass(slots=True)
class KindDiff:
    """Rows of one wearer and kind; ``first_utc_ns`` and ``last_utc_ns`` bound everything that differs. ``types``: of events, how
    many of each type were [added, removed].
    """

    equal: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    first_utc_ns: int | None = None
    last_utc_ns: int | None = None
    columns: dict[str, Change] = field(default_factory=dict)
    types: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlagChange:
    """A flag that only one of the two has."""

    t_utc_ns: int
    sensor: str
    rule: str
    gained: bool
    text: str


@dataclass(slots=True)
class WearerDiff:
    """Everything about one wearer."""

    kinds: dict[str, KindDiff] = field(default_factory=dict)
    flags: list[FlagChange] = field(default_factory=list)


Key = tuple[Any, ...]
_Row = tuple[Key, dict[str, Any]]


def diff(stored: Store, derived: Store, sensors: Mapping[str, Collection[str]]) -> dict[str, WearerDiff]:
    """``derived`` against ``stored``, whole, of each wearer's ``sensors``; "added" and "gained" is what only ``derived`` has."""
    found: dict[str, WearerDiff] = {}
    for wearer, worn in sensors.items():
        mine = found[wearer] = WearerDiff()
        for kind in KINDS:
            rows = _rows(stored, wearer, worn, kind), _rows(derived, wearer, worn, kind)
            mine.kinds[kind] = _walk(*rows, mine.flags)
    return found


def _walk(a: Iterator[_Row], b: Iterator[_Row], flags: list[FlagChange]) -> KindDiff:
    result = KindDiff()
    x, y = next(a, None), next(b, None)
    while x is not None or y is not None:
        key = min(row[0] for row in (x, y) if row is not None)
        old = x[1] if x is not None and x[0] == key else None
        new = y[1] if y is not None and y[0] == key else None
        if old is not None and new is not None:
            steps = {c: (old[c], new[c]) for c in old if c not in _NAMED and old[c] != new[c]}
            result.changed += bool(steps)
            result.equal += not steps
            for column, values in steps.items():
                _note(result.columns.setdefault(column, Change()), *values, key[0])
            differs = bool(steps)
        else:
            result.added += old is None
            result.removed += new is None
            differs = True
            only = new if new is not None else old
            if only is not None and "type" in only:
                result.types.setdefault(str(only["type"]), [0, 0])[new is None] += 1
                if only["type"] == "flag":
                    text = str(json.loads(only["data"]).get("text", ""))
                    flags.append(FlagChange(key[0], key[1], str(only["rule"]), old is None, text))
        if differs:
            result.first_utc_ns = key[0] if result.first_utc_ns is None else result.first_utc_ns
            result.last_utc_ns = key[0]
        x = next(a, None) if old is not None else x
        y = next(b, None) if new is not None else y
    return result


def _note(change: Change, old: Any, new: Any, t_utc_ns: int) -> None:
    change.rows += 1
    if isinstance(old, int | float) and isinstance(new, int | float):
        step = float(new - old)
        if change.largest is None or abs(step) > abs(change.largest):
            change.largest, change.at_utc_ns = step, t_utc_ns


def _rows(store: Store, wearer: str, sensors: Collection[str], kind: str) -> Iterator[_Row]:
    """Rows with the key by which they are matched, in its order. Of events of one instant, type and rule the n-th match."""
    held: list[_Row] = []
    for page in store.columns(kind, wearer):
        for cells in zip(*page.values(), strict=True):
            row = dict(zip(page, cells, strict=True))
            if row["sensor"] not in sensors:
                continue
            key: Key = (row["t_utc_ns"], row["sensor"], row.get("type") or "", row.get("rule") or "")
            if held and held[0][0][0] != key[0]:
                yield from _numbered(held)
                held = []
            held.append((key, row))
    yield from _numbered(held)


def _numbered(rows: list[_Row]) -> Iterator[_Row]:
    seen: dict[Key, int] = {}
    for key, row in sorted(rows, key=lambda r: r[0]):
        seen[key] = seen.get(key, 0) + 1
        yield (*key, seen[key]), row
