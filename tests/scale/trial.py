"""What the trials of this folder share as commands: a folder of their own, the report as JSON, an exit status that tells."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def told(name: str, trial: Callable[[Path], dict[str, Any]]) -> int:
    """Run a trial, print its report; 1 where its ``wrong`` lists anything."""
    folder = Path(tempfile.mkdtemp(prefix=f"tiltline-{name}-"))
    try:
        report = trial(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=1))
    return int(bool(report["wrong"]))
