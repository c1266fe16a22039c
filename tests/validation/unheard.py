"""Nothing is received while the wearer changes posture: how far off is "up" in all that is received, beside plain VQF?

    python -m tests.validation.unheard REFERENCE [--hole 3]

In every recording with labelled changes of posture a hole is cut around the middle of each change. Truth is the estimate that looks
back over the uncut recording. Told is the RMSE over whole recordings, mean over them. Plain VQF is given what is received as if
there were no hole.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from processing.types import Bool
from sensor_gateway.validation.datasets import Case, find
from tests.validation import beginnings, takes
from tests.validation.up import MODES, up_by

_CHANGES: Final = (7, 8, 9, 10, 11, 12)
_NO_BIAS: Final = np.zeros(3)


def heard(take: takes.Take, hole_s: float) -> Bool:
    """The samples that are received (n,)."""
    changing = np.isin(take.truth["label"], _CHANGES).astype(np.int8)
    edges = np.flatnonzero(np.diff(changing, prepend=0, append=0)).reshape(-1, 2)
    half = round(0.5 * hole_s * take.rate_hz)
    keep = np.ones(len(take.t_s), dtype=bool)
    for middle in edges.sum(axis=1) // 2:
        keep[max(0, middle - half) : middle + half] = False
    return keep


def errors(case: Case, hole_s: float) -> dict[str, float]:
    """By estimator the RMSE [deg] of one recording."""
    take = takes.read(case)
    up, keep = beginnings.truth(case, take), heard(take, hole_s)
    batch = beginnings.samples(takes.rows(take, keep), slice(None), _NO_BIAS)
    found = {mode: up_by(mode, batch, take.rate_hz) for mode in MODES}
    found["plain"] = beginnings.plain(batch, take.rate_hz)
    return {name: beginnings.rmse_deg(got, up[keep]) for name, got in found.items()}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.validation.unheard", description=__doc__.splitlines()[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("--hole", type=float, default=3.0, help="seconds")
    args = parser.parse_args(argv)
    each = [errors(case, args.hole) for case in find(args.reference, ["hapt"]).cases]
    for name in each[0]:
        values = [e[name] for e in each]
        print(f"{name:8} {np.mean(values):.2f} deg, worst {max(values):.2f}, of {len(values)} recordings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
