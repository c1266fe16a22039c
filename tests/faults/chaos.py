"""tiltline-chaos: `python -m tests.faults.chaos --seeds 20 --faults 15`: torture whole sites, compare with a calm one.

Each seed is a site of its own: real Mosquitto and InfluxDB, gateway and bridge as processes, wearers on tape. A seed gives
the same faults each time (`--only SEED` runs one again and keeps its files). The report says what was done, what it
took to recover, and every record that is not as in the undisturbed run. Exit status 1 where anything is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tests.faults.campaign import Outcome, Plan, run_seed, without
from tests.faults.site import can_mount
from tests.faults.tape import Wearer, freeze_code, install_plugin, wearers, write_tape
from tests.faults.verify import expected_rows

PROGRAMS = ("mosquitto", "mosquitto_passwd", "influxd", "nginx")


def missing_programs() -> list[str]:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return [program for program in PROGRAMS if shutil.which(program, path=path) is None]


def calm_run(folder: Path, tapes: dict[Wearer, Path]) -> Path:
    """The undisturbed run: the same tapes through a gateway with nothing but its own store."""
    plugin, code = folder / "plugin", freeze_code(folder)
    install_plugin(plugin)
    sensors = "\n".join(
        f'[[sensors]]\nid = "{w.sensor}"\nwearer = "{w.wearer}"\ndriver = "tape"\noptions = {{ path = "{path}" }}'
        for w, path in tapes.items()
    )
    (folder / "gateway.toml").write_text(f'[site]\ndata_dir = "data"\n{sensors}\n[web]\nenabled = false\n')
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join([str(code), str(plugin)])}
    command = [
        sys.executable,
        "-m",
        "sensor_gateway.cli",
        "run",
        "--config",
        str(folder / "gateway.toml"),
        "--until-done",
    ]
    subprocess.run(command, check=True, cwd=code, env=environment, capture_output=True)
    return folder / "data" / "store.db"


def prepare(folder: Path, options: argparse.Namespace) -> Plan:
    """Tapes and what they must become."""
    seconds = options.hours * 3600
    tapes = {}
    for wearer in wearers(options.wearers, seconds, options.tape_seed):
        tapes[wearer] = folder / f"{wearer.sensor}.tape"
        write_tape(tapes[wearer], wearer, seconds)
    want = expected_rows(calm_run(folder, tapes))
    disks = can_mount() and not options.no_disks
    code = freeze_code(folder)
    return Plan(tapes, code, seconds, want, options.faults, options.longest, options.speed, disks)


def summary(outcomes: list[Outcome], plan: Plan, took_s: float) -> dict[str, Any]:
    """The report as data."""
    kinds: Counter[str] = Counter()
    for outcome in outcomes:
        kinds.update(f"{f['kind']} {f['target']}" for f in outcome.faults)
    skipped = sorted(without() | (frozenset() if plan.disks else frozenset({"disk_full"})))
    return {
        "seeds": sorted(outcome.seed for outcome in outcomes),
        "faults": sum(kinds.values()),
        "faults_by_kind": dict(sorted(kinds.items())),
        "faults_not_possible_here": skipped,
        "records_per_seed": sum(map(len, plan.want.values())),
        "records_of_a_seed_by_kind": {kind: len(rows) for kind, rows in plan.want.items()},
        "simulated_hours_per_seed": round(plan.seconds / 3600 * len(plan.tapes), 2),
        "recovery_s": _spread([s for outcome in outcomes for s in outcome.recovery_s]),
        "recovery_running_s": _spread([s for outcome in outcomes for s in outcome.running_s]),
        "recovery_s_by_kind": _by_kind(outcomes),
        "wrong": {str(outcome.seed): outcome.wrong for outcome in outcomes if outcome.wrong},
        "took_s": round(took_s, 1),
        "each": [vars(outcome) for outcome in sorted(outcomes, key=lambda o: o.seed)],
    }


def _spread(seconds: list[float]) -> dict[str, float | None]:
    if not seconds:
        return {"median": None, "p95": None, "most": None}
    ordered = sorted(seconds)
    return {"median": ordered[len(ordered) // 2], "p95": ordered[int(len(ordered) * 0.95)], "most": ordered[-1]}


def _by_kind(outcomes: list[Outcome]) -> dict[str, dict[str, float]]:
    """Median and longest recovery of the strikes that each kind of fault had a part in."""
    times: dict[str, list[float]] = defaultdict(list)
    for outcome in outcomes:
        for fault in outcome.faults:
            if "recovered_s" in fault:
                times[f"{fault['kind']} {fault['target']}"].append(fault["recovered_s"])
    return {kind: {"median": sorted(t)[len(t) // 2], "most": max(t)} for kind, t in sorted(times.items())}


def as_text(report: dict[str, Any]) -> str:
    """The report for a person."""
    took = report["recovery_s"]
    size = f"{report['faults']} faults on {len(report['seeds'])} sites, {report['records_per_seed']} records each"
    recovery = f"median {took['median']} s, 95 % within {took['p95']} s, longest {took['most']} s"
    running = "without standing in line for a processor: median {median} s, 95 % within {p95} s, longest {most} s"
    lines = [f"{size}, in {report['took_s']} s", f"recovery after a fault's end: {recovery}"]
    lines.append(running.format(**report["recovery_running_s"]))
    by_kind: dict[str, list[str]] = defaultdict(list)
    for name, n in report["faults_by_kind"].items():
        kind, target = name.split(" ", 1)
        by_kind[kind].append(f"{target} {n}")
    lines += [f"  {kind:<11} {', '.join(targets)}" for kind, targets in by_kind.items()]
    if report["faults_not_possible_here"]:
        lines.append(f"  not possible on this machine: {', '.join(report['faults_not_possible_here'])}")
    if not report["wrong"]:
        lines.append(
            "Every database, store and text file equals the undisturbed run; all books balance; every file opens."
        )
    for seed, wrong in report["wrong"].items():
        lines += [f"seed {seed}: {one}" for one in wrong]
    return "\n".join(lines)


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tiltline-chaos", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many sites (default 20)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--only", type=int, help="this one seed, its files kept")
    parser.add_argument("--faults", type=int, default=15, help="faults per site (default 15)")
    parser.add_argument(
        "--longest", type=float, default=1.5, help="longest fault [s]; outages last up to twice as long"
    )
    parser.add_argument("--hours", type=float, default=1.5, help="hours on each wearer's tape (default 1.5)")
    parser.add_argument("--wearers", type=int, default=2, choices=(1, 2, 3, 4), help="wearers per site (default 2)")
    parser.add_argument("--speed", type=float, default=600.0, help="tape seconds per second at most (default 600)")
    parser.add_argument("--jobs", type=int, default=4, help="sites at once (default 4: they mostly wait)")
    parser.add_argument("--tape-seed", type=int, default=1, help="another seed gives other wearers' days")
    parser.add_argument("--no-disks", action="store_true", help="no small file systems (they need root): no full disks")
    parser.add_argument("--report", type=Path, help="write the report here as JSON, and beside it as text")
    parser.add_argument("--folder", type=Path, help="work here instead of a temporary folder")
    return parser.parse_args(arguments)


def campaign(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run all seeds; the report."""
    began = time.monotonic()
    plan = prepare(folder, options)
    seeds = [options.only] if options.only is not None else range(options.first, options.first + options.seeds)
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [
            pool.submit(run_seed, seed, plan, folder / f"site-{seed}", options.only is not None) for seed in seeds
        ]
        for done in as_completed(running):
            outcome = done.result()
            outcomes.append(outcome)
            verdict = "; ".join(outcome.wrong) or "equal"
            print(
                f"seed {outcome.seed}: {len(outcome.faults)} faults, {outcome.took_s:.0f} s: {verdict}", file=sys.stderr
            )
    return summary(outcomes, plan, time.monotonic() - began)


def main(arguments: list[str] | None = None) -> int:
    options = options_of(arguments)
    if missing := missing_programs():
        print(f"tiltline-chaos: not installed here: {', '.join(missing)}", file=sys.stderr)
        return 1
    if not can_mount() and not options.no_disks:
        print("tiltline-chaos: not root, so disks cannot be filled; everything else is done", file=sys.stderr)
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        report = campaign(options, options.folder)
    else:
        folder = Path(tempfile.mkdtemp(prefix="tiltline-chaos-"))
        report = campaign(options, folder)
        if report["wrong"] or options.only is not None:
            print(f"files kept in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    text = as_text(report)
    print(text)
    if options.report is not None:
        options.report.write_text(json.dumps(report, indent=1) + "\n")
        options.report.with_suffix(".txt").write_text(text + "\n")
    return int(bool(report["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
