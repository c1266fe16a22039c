"""One finding of `tiltline doctor`: shared by its checks (`health`, `bluetooth`, `time_sync`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome; ``remedy`` is empty where nothing needs doing."""

    check: str
    state: Literal["ok", "note", "problem"]
    seen: str
    remedy: str = ""
