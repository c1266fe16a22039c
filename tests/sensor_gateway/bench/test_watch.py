"""Memory of processes together, looked at while they run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from sensor_gateway.bench.watch import Watch

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").is_file(), reason="Linux tells of it, others do not"
)
HOLD = "held = b'x' * ({mb} * 2**20)"
WAIT = "import sys; print(flush=True); sys.stdin.read()"


def most_mb(code: str, at_least: float) -> float:
    """The most seen until it was so much, or for a while."""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with Watch(process.pid) as watch:
            process.stdout.readline()  # it holds what it shall
            until = time.monotonic() + 20
            while watch.most_mb < at_least and time.monotonic() < until:
                time.sleep(0.05)
            process.stdin.close()
    return watch.most_mb


def test_a_process_and_those_it_started_are_counted_together() -> None:
    inner = f"{HOLD.format(mb=60)}; {WAIT}"
    code = f"import subprocess, sys; {HOLD.format(mb=40)}; sys.exit(subprocess.run([sys.executable, '-c', {inner!r}]).returncode)"
    assert 100 < most_mb(code, at_least=100) < 160


def test_of_one_alone_its_own_peak_is_known_better() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"]) as process, Watch(process.pid) as watch:
        process.wait()
    assert watch.most_mb == 0


def test_one_that_has_ended_holds_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with Watch(ended.pid) as watch:
        pass
    assert watch.most_mb == 0
