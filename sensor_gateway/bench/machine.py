"""What a benchmark says of its machine, and a command of ours run in a process of its own, with what it used."""

from __future__ import annotations

import json
import os
import platform
import resource
import runpy
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensor_gateway.bench.watch import Watch

_STATUS = Path("/proc/self/status")
_RSS_PER_MB = 2**20 if platform.system() == "Darwin" else 2**10  # bytes there, kilobytes elsewhere


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command used, start of Python and processes of its own included. ``said``: its output, for a machine.

    ``peak_mb``: its own peak, or more where it and the processes it started held more at a moment (`Watch`). Where the system does
    not tell of moments, its own peak and that of the largest process it started.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    said: Any

    @property
    def plain(self) -> dict[str, float]:
        """For a row."""
        return {"wall_s": round(self.wall_s, 2), "cpu_s": round(self.cpu_s, 2), "peak_mb": round(self.peak_mb, 1)}


class BenchError(Exception):
    """A benchmark that cannot be made; the text says why."""


def measured(*arguments: str) -> Cost:
    """Run ``tiltline`` with these arguments, which must make it print JSON; raises `BenchError` where it fails."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "sensor_gateway.bench.machine", *arguments]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        Watch(process.pid) as watch,
    ):
        out, err = process.communicate()
    wall_s = time.perf_counter() - began
    if process.returncode != 0:
        raise BenchError(f"tiltline {' '.join(arguments)}: {err.strip()[-500:]}")
    *said, used = out.strip().splitlines()
    cost = json.loads(used)
    most_mb = max(cost["peak_mb"], watch.most_mb or cost["peak_mb"] + cost["started_mb"])
    return Cost(wall_s, cost["cpu_s"], most_mb, json.loads("\n".join(said)) if said else None)


def peak_mb() -> float:
    """The most memory this process has held so far."""
    if _STATUS.is_file():  # what the system counts for a process reaches back to the one that started it
        found = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        if found:
            return int(found[0].split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _RSS_PER_MB


def machine() -> dict[str, Any]:
    """Processor, cores, system, load."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    load = os.getloadavg()[0]
    return {"system": platform.platform(), "cpu": cpu, "cores": os.cpu_count(), "load_1min": round(load, 2)}


def _main(arguments: Sequence[str]) -> int:
    """The child: one command as ``python -m sensor_gateway.cli`` runs it, then a line with what it used."""
    sys.argv = ["tiltline", *arguments]
    try:
        runpy.run_module("sensor_gateway.cli", run_name="__main__")
    except SystemExit as e:
        started = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = time.process_time() + started.ru_utime + started.ru_stime
        started_mb = started.ru_maxrss / _RSS_PER_MB
        print(json.dumps({"cpu_s": cpu_s, "peak_mb": peak_mb(), "started_mb": started_mb}))
        return e.code if isinstance(e.code, int) else int(e.code is not None)
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
