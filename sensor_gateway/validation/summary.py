"""Tallies to results: by set, mode, activity, person and part, with intervals over people."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from processing.types import F64
from sensor_gateway.validation.agreement import Agreement, agreement
from sensor_gateway.validation.doubt import interval
from sensor_gateway.validation.rows import TILTLINE, WHOLE, Row
from sensor_gateway.validation.tally import MEASURES

GroupKind: TypeAlias = Literal["all", "unseen", "part", "activity", "subject"]
"""``all`` recordings of a set; ``unseen`` those of people held apart; a ``part`` of each recording."""


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of one group of recordings by one estimator; None where there is nothing to make one from."""

    set: str
    measure: str
    estimator: str
    mode: str
    kind: GroupKind
    group: str
    recordings: int
    subjects: int
    values: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    tally: dict[str, float]
    each: list[float]
    """The headline figure of each recording, for the eye."""


def summarise(rows: Iterable[Row]) -> list[Result]:
    """All results in a fixed order, whatever the order in which the rows were made."""
    groups: dict[tuple[str, str, str, str, GroupKind, str], list[Row]] = defaultdict(list)
    for row in rows:
        for kind, group in _groups_of(row):
            groups[row.set, row.measure, row.estimator, row.mode, kind, group].append(row)
    people: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    activities: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    for key, members in groups.items():
        if key[4] == "all":
            people[key[:4]] |= {r.subject for r in members}
            activities[key[:4]] |= {r.activity for r in members}
    results = []
    for key in sorted(groups, key=_order):
        alone = (key[4] == "subject" and len(people[key[:4]]) < 2) or (
            key[4] == "activity" and len(activities[key[:4]]) < 2
        )
        if not alone:
            results.append(_result(key, groups[key]))
    return results


def _groups_of(row: Row) -> Iterator[tuple[GroupKind, str]]:
    if row.part != WHOLE:
        yield "part", row.part
        return
    yield "all", WHOLE
    if row.set == "hapt" and not row.looked_at:
        yield "unseen", "people held apart"
    yield "activity", row.activity
    yield "subject", row.subject


_KINDS: Final = ("all", "unseen", "part", "activity", "subject")
_MODES: Final = ("online", "settled", "retro", "")


def _order(key: tuple[str, str, str, str, GroupKind, str]) -> tuple[str, int, int, str, int, str, int]:
    name, measure, estimator, mode, kind, group = key
    own = estimator != TILTLINE
    return name, list(MEASURES).index(measure), _KINDS.index(kind), group, own, estimator, _MODES.index(mode)


def _result(key: tuple[str, str, str, str, GroupKind, str], rows: Sequence[Row]) -> Result:
    measure = MEASURES[key[1]]
    by_subject: dict[str, F64] = {}
    for row in sorted(rows, key=lambda r: (r.subject, r.recording)):
        by_subject[row.subject] = by_subject.get(row.subject, np.zeros(len(row.tally))) + row.tally
    stacked = np.array(list(by_subject.values()))
    total = stacked.sum(axis=0)
    head = measure.figures[0]
    each = [float(head.of(r.tally)) for r in sorted(rows, key=lambda r: r.recording)]
    return Result(
        *key,
        recordings=len({r.recording for r in rows}),
        subjects=len(by_subject),
        values={f.name: _finite(float(f.of(total))) for f in measure.figures},
        intervals={f.name: None if key[4] == "subject" else interval(stacked, f) for f in measure.figures},
        tally=dict(zip(measure.fields, total.tolist(), strict=True)),
        each=[v for v in each if math.isfinite(v)],
    )


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def agreements(rows: Iterable[Row]) -> dict[tuple[str, str], Agreement]:
    """Bland-Altman of tilt for each (set, mode) of Tiltline's own estimates."""
    groups: dict[tuple[str, str], dict[str, list[F64]]] = defaultdict(lambda: defaultdict(list))
    rates: dict[tuple[str, str], float] = {}
    for row in sorted(rows, key=lambda r: r.recording):
        if row.measure == "tilt" and row.part == WHOLE and row.estimator == TILTLINE:
            key = row.set, row.mode
            groups[key][row.subject].append(row.detail["difference_deg"])
            rates[key] = 1.0 / float(np.median(np.diff(row.detail["t_s"])))
    found = {}
    for key in sorted(groups):
        result = agreement([np.concatenate(parts) for parts in groups[key].values()], rates[key])
        if result is not None:
            found[key] = result
    return found
