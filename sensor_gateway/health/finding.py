"""One finding of `tiltline doctor`: shared by its checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

RENEW_DAYS: Final = 60
"""From when on a certificate's end is told: a clinic is not visited every month."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome; ``remedy`` is empty where nothing needs doing."""

    check: str
    state: Literal["ok", "note", "problem"]
    seen: str
    remedy: str = ""


def problem(check: str, said: str, otherwise: str) -> Finding:
    """A sentence of the form "what is wrong; what to do" in its two parts."""
    seen, _, remedy = said.partition("; ")
    return Finding(check, "problem", seen, remedy or otherwise)
