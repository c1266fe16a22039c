"""Every benchmark in a row, each beside its aim: `python -m tests.scale.bars [ROW ...] [--out FOLDER]`, or `make bench-all`.

Each row runs by its own command and leaves its report as FOLDER/ROW.json; FOLDER/bars.json has the figures of all rows run so far
with their aims, machine and versions, for tracking. `--against` an earlier FOLDER says what they were. Status 1 where an aim is missed.
An hour or more with all rows on a quiet machine, most of it `identity`; other work beside makes most figures worse.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sensor_gateway.bench.machine import machine
from sensor_gateway.export.manifest import versions
from tests.integration.servers import REPOSITORY
from tests.scale.aims import Verdict, verdicts

PEERS_PYTHON = REPOSITORY / ".venv-validation" / "bin" / "python"
"""The other pipelines have an environment of their own, which `make bench-all` sets up."""
SUMMARY: Final = "bars.json"
BENCH: Final = ("-m", "sensor_gateway.cli", "bench", "--json")
ROWS: Final[dict[str, tuple[str, ...]]] = {
    "core": (*BENCH, "core"),
    "day": (*BENCH, "day"),
    "month": (*BENCH, "month"),
    "journal": (*BENCH, "journal"),
    "peers": (*BENCH, "peers"),
    "growth": (*BENCH, "growth"),
    "shared": ("-m", "tests.scale.shared"),
    "live": ("-m", "tests.scale.live", "--wearers", "500", "--minutes", "5", "--gateways", "2"),
    "dask": ("-m", "tests.scale.dask_ratio"),
    "identity": ("-m", "tests.scale.identity", "--days", "50"),
}
_TOOK_REFERENCE: Final = ("journal", "peers", "identity")
_NEEDS_REFERENCE: Final = ("journal",)


class RowError(Exception):
    """A row that gave no report; the text says why."""


def measure(row: str, reference: Path | None) -> dict[str, Any]:
    """Run one row's command; its report. Missing an aim is a report too, any other end raises `RowError`."""
    python = PEERS_PYTHON if row == "peers" else Path(sys.executable)
    if row in _NEEDS_REFERENCE and reference is None:
        raise RowError("needs real recordings: --reference or TILTLINE_REFERENCE")
    if not python.is_file():
        raise RowError(f"needs {python.relative_to(REPOSITORY)}: make bench-all")
    named = ("--reference", str(reference)) if reference and row in _TOOK_REFERENCE else ()
    done = subprocess.run(
        [str(python), *ROWS[row], *named], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False
    )
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError as e:
        raise RowError(f"ended with status {done.returncode} and no report") from e
    return report


def lines(row: str, found: Sequence[Verdict], before: Sequence[Verdict] = ()) -> Iterator[str]:
    """A row for a person: what was reached, what it should be, and what it was."""
    was = {v.what: v.reached for v in before}
    for v in found:
        sign = "<=" if v.better == "less" else ">="
        change = f"   was {was[v.what]:g}" if v.what in was else ""
        yield f"{row:<9} {'met   ' if v.met else 'MISSED'} {v.what:<52} {v.reached:>9g} {sign} {v.aim:g} {v.unit}{change}"


def read(folder: Path) -> dict[str, list[Verdict]]:
    """The figures of an earlier run."""
    return {
        row: [Verdict(**{k: v for k, v in figure.items() if k != "met"}) for figure in kept["figures"]]
        for row, kept in _kept(folder).items()
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale.bars", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)} (default: all)")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bench"), help="default: %(default)s")
    parser.add_argument("--reference", type=Path, help="folder of folders of recordings")
    parser.add_argument("--against", type=Path, help="folder of an earlier run")
    options = parser.parse_args(arguments)
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no row {min(unknown)!r}; there are {', '.join(ROWS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    before = read(options.against) if options.against else {}
    named = options.reference or os.environ.get("TILTLINE_REFERENCE")
    reference = Path(named).absolute() if named else None
    good = [run(row, reference, options.out, before.get(row, ())) for row in options.rows or ROWS]
    return int(not all(good))


def run(row: str, reference: Path | None, out: Path, before: Sequence[Verdict]) -> bool:
    """Measure a row, print it and keep it; whether it could be measured and all its aims are met."""
    began, here = time.monotonic(), machine()
    try:
        report = measure(row, reference)
    except RowError as e:
        print(f"{row:<9} FAILED {e}", flush=True)
        return False
    found = keep(row, report, here, out)
    print("\n".join(lines(row, found, before)), flush=True)
    print(
        f"{row:<9} took {time.monotonic() - began:.0f} s, load before {here['load_1min']}", file=sys.stderr, flush=True
    )
    return all(v.met for v in found)


def keep(row: str, report: dict[str, Any], here: dict[str, Any], out: Path) -> list[Verdict]:
    """Write a row's report and, beside those of other rows, its figures, which it gives."""
    found = verdicts(row, report)
    (out / f"{row}.json").write_text(json.dumps(report, indent=1))
    kept = _kept(out)
    kept[row] = {
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": here,
        "versions": versions(),
        "figures": [asdict(v) | {"met": v.met} for v in found],
    }
    (out / SUMMARY).write_text(json.dumps(kept, indent=1))
    return found


def _kept(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY
    kept: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return kept


if __name__ == "__main__":
    sys.exit(main())
