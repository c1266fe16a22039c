"""What the trials of this folder share as commands: a folder of their own, the report as JSON, an exit status that tells.

And the CPU of the processes they start.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.servers import Process


def told(name: str, trial: Callable[[Path], dict[str, Any]]) -> int:
    """Run a trial, print its report; 1 where its ``wrong`` lists anything."""
    folder = Path(tempfile.mkdtemp(prefix=f"tiltline-{name}-"))
    try:
        report = trial(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=1))
    return int(bool(report["wrong"]))


def cpu_s(process: Process) -> float:
    """CPU of a process and of those it started that still run [s]."""
    return _cpu_s(process.pid)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    children = [int(p) for of in Path(f"/proc/{pid}/task").glob("*/children") for p in of.read_text().split()]
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + sum(map(_cpu_s, children))
