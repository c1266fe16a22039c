"""The reference recordings as other sensors would have recorded them: the same motion and truth, another rate, noise, clip or radio.

    python -m tests.validation.other_sensors REFERENCE [--only 25_hz,gyro_bias_5] [--each 5] [--jobs 2] [--json FILE]

Every alteration is one thing that differs between sensors. It is applied to samples and truth alike, and the result goes through the
path and the scores of `tiltline validate`. Told is each figure beside the one of the unaltered recordings: what falls by more than a
sensor's own error explains is a cliff, and a fault of ours. Random parts are drawn from recording and alteration by name.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from sensor_gateway.validation.datasets import Case, find
from sensor_gateway.validation.rows import WHOLE, Row
from sensor_gateway.validation.run import MODES
from sensor_gateway.validation.scoring import score
from sensor_gateway.validation.summary import summarise
from tests.validation.alterations import ALTERATIONS, UNALTERED
from tests.validation.takes import read, write

HEADLINES: Final = (
    ("broad", "inclination", "rmse_deg"), ("neura_pelvis", "tilt", "rmse_deg"), ("hapt", "posture", "macro_f1"),
    ("hapt", "transfers", "recall"), ("hapt", "transfers", "precision"),
    ("ipol_l5_gait", "steps", "f1"), ("mobgap_lowback", "steps", "f1"),
    ("ipol_l5_gait", "walking", "found"), ("ipol_l5_gait", "walking", "false"),
)  # fmt: skip
_ORIENTED: Final = frozenset({"broad", "neura_pelvis"})
"""Sets on which the other methods are asked as well: how much of a loss is in the samples themselves."""
Figures = dict[tuple[str, str, str, str], float]
"""By set, measure, figure and mode (or the name of another method)."""


def altered_case(case: Case, name: str, folder: Path) -> Case:
    """A recording altered, as a file of its own."""
    seed = zlib.crc32(f"{name}/{case.set}/{case.name}".encode())
    take = ALTERATIONS[name](read(case), np.random.default_rng(seed))
    path = folder / f"{case.name}.parquet"
    write(take, path)
    return replace(case, path=path, mount=take.mount)


def scored(case: Case, name: str, modes: Sequence[str] = MODES) -> tuple[list[Row], list[str]]:
    """Rows of one recording, altered, and what had to be said."""
    found: list[Row] = []
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tiltline-other-") as folder:
        altered = altered_case(case, name, Path(folder))
        tasks = [*modes, "peers"] if case.set in _ORIENTED else modes
        for task in tasks:
            done = score(altered, task)  # type: ignore[arg-type]  # a name from the command line was checked against MODES
            found += [r for r in done.rows if r.part == WHOLE]
            said += [w.replace(folder, "") for w in done.warnings]
    return found, said


def figures(found: Iterable[Row]) -> Figures:
    out: Figures = {}
    for r in summarise(found):
        if r.kind == "all":
            who = r.mode or r.estimator
            out |= {(r.set, r.measure, f, who): v for f, v in r.values.items() if v is not None}
    return out


def chosen(reference: Path, each: int, sets: Sequence[str] | None = None) -> list[Case]:
    """The first recording of each of ``each`` people a set, spread over them (0: every recording)."""
    cases = find(reference, sets).cases
    if not each:
        return cases
    people: dict[str, dict[str, Case]] = defaultdict(dict)
    for c in cases:
        people[c.set].setdefault(c.subject, c)
    out = []
    for of_set in people.values():
        one = list(of_set.values())
        at = np.unique(np.linspace(0, len(one) - 1, min(each, len(one))).round().astype(int))
        out += [one[i] for i in at]
    return out


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.validation.other_sensors", description=__doc__.splitlines()[0]
    )
    parser.add_argument("reference", type=Path)
    parser.add_argument("--only", help="alterations, by comma")
    parser.add_argument("--sets", help="sets, by comma")
    parser.add_argument("--each", type=int, default=12, help="people a set (0: every recording)")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    if unknown := set((args.only or UNALTERED).split(",")) - set(ALTERATIONS):
        parser.error(f"no alteration {', '.join(sorted(unknown))}; there are {', '.join(ALTERATIONS)}")
    names = [UNALTERED, *(n for n in (args.only.split(",") if args.only else ALTERATIONS) if n != UNALTERED)]
    cases = chosen(args.reference, args.each, args.sets.split(",") if args.sets else None)
    modes = args.modes.split(",")
    told: dict[str, dict[str, float]] = {}
    with ProcessPoolExecutor(args.jobs) as pool:
        for name in names:
            done = list(pool.map(scored, cases, [name] * len(cases), [modes] * len(cases)))
            result = figures(r for found, _ in done for r in found)
            told[name] = {"/".join(k): v for k, v in result.items()}
            for line in dict.fromkeys(w for _, said in done for w in said):
                print(f"    {name}: {line}", file=sys.stderr)
            print(_line(name, result), flush=True)
            if args.json:
                args.json.write_text(json.dumps(told, indent=1))
    return 0


def _line(name: str, result: Figures) -> str:
    parts = []
    for s, m, f in HEADLINES:
        values = [result.get((s, m, f, mode)) for mode in (*MODES, "vqf default", "offlineVQF")]
        shown = " ".join(
            "-" if v is None else f"{v:.3f}" if f != "rmse_deg" else f"{v:.2f}"
            for v in values
            if v is not None or f != "rmse_deg"
        )
        if any(v is not None for v in values):
            parts.append(f"{s[:5]} {f}: {shown}")
    return f"{name:22} " + " | ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
