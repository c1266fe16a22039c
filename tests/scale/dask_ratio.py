"""Two Dask workers against one: `python -m tests.scale.dask_ratio [--wearers N] [--hours H]`.

Everything by command line, as a researcher starts it: `dask scheduler`, `dask worker`, `tiltline replay --scheduler ADDRESS`. One
journal of several wearers is derived again with one worker and then with two, each with one thread. Reported are the times, their
ratio, and whether both results are equal and equal to those of a replay without a cluster. To be run on a quiet machine.

Client and scheduler run on the same cores as the workers. So the report also has the CPU of each, and the ratio that follows from it
where nobody else computes (`by_cpu`). Two replays without a cluster, side by side with half of the wearers each, say what the
machine itself makes of its second core.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from distributed import Client

from sensor_gateway.bench.machine import Cost, measured
from tests.faults.tape import NS, START_NS
from tests.faults.verify import compare, expected_rows
from tests.integration.servers import REPOSITORY, Process, answers, free_port, wait_until
from tests.scale.trial import cpu_s, told

BAR = 1.8
SETTINGS = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}
"""As docs/scaling.md advises: by itself each Dask process wakes fifty times a second, and a worker notes a hundred times where it is."""


class Dask(Process):
    """A scheduler or a worker."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        super().__init__(folder, name)
        self._arguments = arguments

    def command(self) -> list[str]:
        return [sys.executable, "-m", "dask", *self._arguments]

    def environment(self) -> dict[str, str]:
        return super().environment() | SETTINGS


def ratio(folder: Path, count: int, hours: float) -> dict[str, Any]:
    """Bar: with two workers at least 1.8 times as fast as with one."""
    config = record(folder, count, hours)
    alone = replay(config, folder / "alone.db")
    beside_s = side_by_side(config, folder, count)
    runs = {workers: on_cluster(folder, config, workers) for workers in (1, 2)}
    spent = {workers: {"client": cost.cpu_s} | others for workers, (cost, others) in runs.items()}
    one_s, two_s = runs[1][0].wall_s, runs[2][0].wall_s
    want = expected_rows(folder / "alone.db")
    wrong = [w for n in runs for w in compare(f"{n} workers", want, expected_rows(folder / f"cluster-{n}.db"))]
    found = one_s / two_s
    if found < BAR:
        wrong.append(f"two workers are {found:.2f} times as fast as one, not {BAR}")
    return {
        "wearers": count,
        "hours": hours,
        "records": sum(map(len, want.values())),
        "without_cluster_s": round(alone.wall_s, 1),
        "one_worker_s": round(one_s, 1),
        "two_workers_s": round(two_s, 1),
        "ratio": round(found, 2),
        "ratio_by_cpu": round(by_cpu(spent[1], spent[2]), 2),
        "ratio_of_two_replays_side_by_side": round(alone.wall_s / beside_s, 2),
        "cpu_without_cluster_s": round(alone.cpu_s, 1),
        "cpu_one_worker_s": {of: round(s, 1) for of, s in spent[1].items()},
        "cpu_two_workers_s": {of: round(s, 1) for of, s in spent[2].items()},
        "wrong": wrong,
    }


def by_cpu(one: dict[str, float], two: dict[str, float]) -> float:
    """The ratio of the times that two cores need at least, by the CPU of a run with one worker and of one with two.

    The client's is its start, nearly all of it, which nothing runs beside; all else of the two may be spread evenly.
    """
    rest = sum(two.values()) - two["client"]
    return (one["client"] + one["workers"]) / (two["client"] + rest / 2)


def record(folder: Path, count: int, hours: float) -> Path:
    """A gateway's journal of these simulated wearers, by `tiltline run`; the file of its settings."""
    start, until = (datetime.fromtimestamp(START_NS / NS + s, UTC).isoformat() for s in (0.0, hours * 3600))
    sensors = "".join(
        f'[[sensors]]\nid = "clip-{n}"\nwearer = "w-{n}"\ndriver = "synthetic"\nrate_hz = 100.0\n'
        f'options = {{ seed = {500 + n}, start = "{start}", until = "{until}", speed = 0.0 }}\n'
        for n in range(count)
    )
    config = folder / "gateway.toml"
    config.write_text(f'[site]\ndata_dir = "data"\n{sensors}[web]\nenabled = false\n')
    command = [sys.executable, "-m", "sensor_gateway.cli", "run", "--config", str(config), "--until-done"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=REPOSITORY)
    return config


def replay(config: Path, out: Path, *options: str) -> Cost:
    """`tiltline replay`."""
    return measured("replay", "--json", "--config", str(config), "--out", str(out), *options)


def side_by_side(config: Path, folder: Path, count: int) -> float:
    """Wall time of two replays at once, each of every second wearer [s]."""
    halves = [[f"--sensor=clip-{n}" for n in range(first, count, 2)] for first in (0, 1)]
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda half: replay(config, folder / f"half-{half[0][-1]}.db", *half), halves))
    return time.monotonic() - began


def on_cluster(folder: Path, config: Path, workers: int) -> tuple[Cost, dict[str, float]]:
    """A scheduler and this many workers, each started by its command; the replay, and the CPU the others spent on it [s]."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    place = folder / f"cluster-{workers}"
    scheduler = Dask(place, "scheduler", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    options = ("--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--local-directory", str(place))
    crew = [Dask(place, f"worker-{n}", "worker", address, *options) for n in range(workers)]
    try:
        scheduler.start()
        wait_until("the scheduler", lambda: answers(port), 60)
        for worker in crew:
            worker.start()
        with Client(address, timeout="30s") as client:
            client.wait_for_workers(workers, timeout=60)
            for module in ("sensor_gateway.replay.cluster", "scipy.signal"):  # a worker's start is not what is measured
                client.run(import_module, module)
        others = {"scheduler": [scheduler], "workers": crew}
        before = {of: sum(map(cpu_s, processes)) for of, processes in others.items()}
        cost = replay(config, folder / f"cluster-{workers}.db", "--scheduler", address)
        return cost, {of: sum(map(cpu_s, others[of])) - s for of, s in before.items()}
    finally:
        for process in (*crew, scheduler):
            process.kill9()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale.dask_ratio", description=__doc__.split("\n\n")[0])
    parser.add_argument("--wearers", type=int, default=6)
    parser.add_argument("--hours", type=float, default=24.0, help="of each wearer (default 24)")
    options = parser.parse_args(arguments)
    if options.wearers < 2:
        parser.error("two workers need two wearers")
    return told("dask", lambda folder: ratio(folder, options.wearers, options.hours))


if __name__ == "__main__":
    sys.exit(main())
