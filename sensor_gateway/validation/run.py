"""The whole validation: every recording in every mode and by the peers, on several processes, to one plain result.

What is measured does not depend on how many processes share the work; only the timings do.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from processing.batch import Mode
from sensor_gateway.export.manifest import versions
from sensor_gateway.validation import peers
from sensor_gateway.validation.agreement import Agreement
from sensor_gateway.validation.alignment import AlignmentResult, Surveyed, conclude
from sensor_gateway.validation.bars import BarResult, hold_against_bars
from sensor_gateway.validation.datasets import Case, find
from sensor_gateway.validation.rows import WHOLE, Row
from sensor_gateway.validation.scoring import Scored, Task, score
from sensor_gateway.validation.summary import Result, agreements, summarise
from sensor_gateway.validation.tally import MEASURES

FORMAT: Final = 1
MODES: Final[tuple[Mode, ...]] = ("online", "settled", "retro")


@dataclass(frozen=True, slots=True)
class Timing:
    """CPU seconds of one method over the recordings of a set, and how many seconds were recorded."""

    set: str
    task: Task
    cpu_s: float
    recorded_s: float


@dataclass(frozen=True, slots=True)
class Validation:
    """Everything a report shows."""

    rows: list[Row]
    results: list[Result]
    agreements: dict[tuple[str, str], Agreement]
    bars: list[BarResult]
    alignment: AlignmentResult | None
    timings: list[Timing]
    wall_s: float
    jobs: int
    recordings: dict[str, int]
    peers: dict[str, str]
    warnings: list[str]


def validate(
    folder: Path,
    sets: Sequence[str] | None = None,
    modes: Sequence[Mode] = MODES,
    jobs: int = 1,
    progress: Callable[[float], None] | None = None,
    *,
    with_peers: bool = True,
) -> Validation:
    """Score all recordings of ``folder`` (`datasets.find`); raises `DataError` where there is nothing to score."""
    began = time.perf_counter()
    found = find(folder, sets)
    tasks: list[Task] = [*modes, "alignment"]
    tasks += ["peers"] if with_peers else []
    work = [(case, task) for task in tasks for case in found.cases]
    rows: list[Row] = []
    surveyed: list[Surveyed] = []
    cpu: dict[tuple[str, Task], list[float]] = defaultdict(lambda: [0.0, 0.0])
    warnings = list(found.skipped)
    for done, ((case, task), scored) in enumerate(zip(work, _scored(work, jobs), strict=True), 1):
        rows += scored.rows
        surveyed += [] if scored.surveyed is None else [scored.surveyed]
        spent = cpu[case.set, task]
        spent[0] += scored.cpu_s
        spent[1] += scored.duration_s
        warnings += [w for w in scored.warnings if w not in warnings]
        if progress is not None:
            progress(done / len(work))
    results = summarise(rows)
    here = peers.installed() if with_peers else {}
    missing = [name for name in peers.OPTIONAL if with_peers and name not in here]
    if missing:
        warnings.append(
            f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not installed, so that comparison is missing; "
            f"pip install {' '.join(missing)}"
        )
    counts: dict[str, int] = defaultdict(int)
    for case in found.cases:
        counts[case.set] += 1
    return Validation(
        rows,
        results,
        agreements(rows),
        hold_against_bars(results),
        conclude(surveyed),
        [Timing(name, task, *spent) for (name, task), spent in cpu.items()],
        time.perf_counter() - began,
        jobs,
        dict(counts),
        here,
        warnings,
    )


def _scored(work: Sequence[tuple[Case, Task]], jobs: int) -> Iterator[Scored]:
    if jobs <= 1:
        yield from (score(case, task) for case, task in work)
        return
    # Fresh processes: a forked one would inherit the locks of threads that it does not have.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))
    try:
        yield from pool.map(score, [c for c, _ in work], [t for _, t in work])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def as_json(v: Validation) -> dict[str, Any]:
    """Plain data; everything but ``timing`` is the same on every run of the same input and versions."""
    return {
        "format": FORMAT,
        "kind": "validate",
        "versions": versions() | v.peers,
        "sets": v.recordings,
        "bars": [
            {
                "set": b.bar.set, "measure": b.bar.measure, "figure": b.bar.figure, "mode": b.bar.mode, "limit": b.limit,
                "reached": b.reached, "interval": b.interval, "met": b.met, "recordings": b.recordings, "subjects": b.subjects,
            }
            for b in v.bars
        ],
        "alignment": None if v.alignment is None else asdict(v.alignment) | {
            "bars": [asdict(b) | {"met": b.met} for b in v.alignment.bars]
        },
        "results": [asdict(r) for r in v.results],
        "agreement": [{"set": s, "mode": m, **asdict(a)} for (s, m), a in v.agreements.items()],
        "recordings": [
            {
                "set": r.set, "recording": r.recording, "subject": r.subject, "activity": r.activity,
                "estimator": r.estimator, "mode": r.mode, "measure": r.measure,
                "tally": dict(zip(MEASURES[r.measure].fields, r.tally.tolist(), strict=True)),
            }
            for r in v.rows
            if r.part == WHOLE
        ],
        "warnings": v.warnings,
        "timing": {
            "wall_s": round(v.wall_s, 2),
            "jobs": v.jobs,
            "cpu": [asdict(t) for t in v.timings],
            "machine": {"cores": os.cpu_count(), "system": platform.platform(terse=True)},
        },
    }  # fmt: skip


def headline(v: Validation) -> list[str]:
    """The bars, a line each, for the terminal."""
    lines = []
    for b in v.bars:
        said = {True: "met", False: "missed", None: "not measured"}[b.met]
        show = MEASURES[b.bar.measure].figure(b.bar.figure).show
        doubt = "" if b.interval is None else f" ({show(b.interval[0])} to {show(b.interval[1])})"
        reached = "-" if b.reached is None else show(b.reached)
        limit = "-" if b.limit is None else show(b.limit)
        lines.append(f"{b.bar.set:15} {b.bar.mode:8} {b.label:46} {reached}{doubt}, bar {limit}: {said}")
    for a in v.alignment.bars if v.alignment is not None else []:
        if a.reached is not None:
            said = "met" if a.met else "missed"
            doubt = "" if a.interval is None else f" ({a.interval[0]:.2f}{a.unit} to {a.interval[1]:.2f}{a.unit})"
            lines.append(
                f"alignment: {a.label}: {a.reached:.2f}{a.unit}{doubt} of {a.of}, bar {a.limit:.2f}{a.unit}: {said}"
            )
    if v.alignment is not None and v.alignment.slips[1]:
        lines.append(f"alignment: slips told in recordings without one: {v.alignment.false_alarms}")
    return lines
