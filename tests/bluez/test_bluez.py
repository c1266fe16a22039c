"""The gateway against a true BlueZ; `make bluez` does the same and makes what is missing here.

Never part of CI: a fresh machine has no image, and making one and the trial together take longer than the rest of the suite.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tiltline-bluez"


@pytest.mark.slow
@pytest.mark.bluez
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("debian", "suite"), [("12", "bookworm"), ("13", "trixie")])
def test_every_fault_is_survived(debian: str, suite: str) -> None:
    if os.environ.get("TILTLINE_BLUEZ") != "1":
        pytest.skip("takes many minutes; run `make bluez`, or set TILTLINE_BLUEZ=1")
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu is missing; `make bluez` installs it (Debian package qemu-system-x86)")
    if not (CACHE / suite / "root.squashfs").exists():
        pytest.skip(f"no image of Debian {debian} in {CACHE}; `make bluez DEBIAN={debian}` makes it")
    done = subprocess.run(
        [ROOT / "scripts" / "bluez_vm.sh", debian],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    result = json.loads((ROOT / "artifacts" / f"bluez-debian{debian}.json").read_text(encoding="utf-8"))
    assert result["system"]["debian"].startswith(debian)
    assert len(result["recovery_s"]["the sensor hangs up"]) == 20
