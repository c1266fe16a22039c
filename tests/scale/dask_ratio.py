"""Two Dask workers against one: `python -m tests.scale.dask_ratio [--wearers N] [--hours H]`.

Everything by command line, as a researcher starts it: `dask scheduler`, `dask worker`, `tiltline replay --scheduler ADDRESS`. One
journal of several wearers is derived again with one worker and then with two, each with one thread. Reported are the times, their
ratio, and whether both results are equal and equal to those of a replay without a cluster. To be run on a quiet machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from distributed import Client

from tests.faults.tape import NS, START_NS
from tests.faults.verify import compare, expected_rows
from tests.integration.servers import REPOSITORY, Process, answers, free_port, wait_until
from tests.scale.trial import told

BAR = 1.8


class Dask(Process):
    """A scheduler or a worker."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        super().__init__(folder, name)
        self._arguments = arguments

    def command(self) -> list[str]:
        return [sys.executable, "-m", "dask", *self._arguments]


def ratio(folder: Path, count: int, hours: float) -> dict[str, Any]:
    """Bar: with two workers at least 1.8 times as fast as with one."""
    config = record(folder, count, hours)
    alone_s = replay(config, folder / "alone.db")
    times = {workers: on_cluster(folder, config, workers) for workers in (1, 2)}
    want = expected_rows(folder / "alone.db")
    wrong = [w for n in times for w in compare(f"{n} workers", want, expected_rows(folder / f"cluster-{n}.db"))]
    found = times[1] / times[2]
    if found < BAR:
        wrong.append(f"two workers are {found:.2f} times as fast as one, not {BAR}")
    return {
        "wearers": count,
        "hours": hours,
        "records": sum(map(len, want.values())),
        "without_cluster_s": round(alone_s, 1),
        "one_worker_s": round(times[1], 1),
        "two_workers_s": round(times[2], 1),
        "ratio": round(found, 2),
        "wrong": wrong,
    }


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
    _tiltline("run", "--config", str(config), "--until-done")
    return config


def replay(config: Path, out: Path, *options: str) -> float:
    """Wall time of `tiltline replay` [s]."""
    began = time.monotonic()
    _tiltline("replay", "--config", str(config), "--out", str(out), *options)
    return time.monotonic() - began


def on_cluster(folder: Path, config: Path, workers: int) -> float:
    """A scheduler and this many workers, each started by its command; the time of the replay alone [s]."""
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
            client.run(import_module, "sensor_gateway.replay.cluster")  # a worker's start is not what is measured
        return replay(config, folder / f"cluster-{workers}.db", "--scheduler", address)
    finally:
        for process in (*crew, scheduler):
            process.kill9()


def _tiltline(*arguments: str) -> None:
    command = [sys.executable, "-m", "sensor_gateway.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if done.returncode != 0:
        raise RuntimeError(f"tiltline {arguments[0]}: {done.stderr[-2000:]}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale.dask_ratio", description=__doc__.split("\n\n")[0])
    parser.add_argument("--wearers", type=int, default=6)
    parser.add_argument("--hours", type=float, default=24.0, help="of each wearer (default 24)")
    options = parser.parse_args(arguments)
    return told("dask", lambda folder: ratio(folder, options.wearers, options.hours))


if __name__ == "__main__":
    sys.exit(main())
