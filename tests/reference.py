"""Where the reference recordings are: `TILTLINE_REFERENCE`, or `../shared/reference` beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

REFERENCE = Path(os.environ.get("TILTLINE_REFERENCE", Path(__file__).parents[2] / "shared" / "reference"))
ABSENT = f"no reference recordings at {REFERENCE.name}; set TILTLINE_REFERENCE to their folder"
