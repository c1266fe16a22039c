"""Reasons of refused payloads counted by kind: two sentences that differ in their numbers only are one kind.

For `tiltline sensors`, `tiltline capture` and the fuzz campaign; the gateway's own records carry the total.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

_QUOTED: Final = re.compile(r"\bb'(?:[^'\\]|\\.)*'|\bb\"(?:[^\"\\]|\\.)*\"")
_UUID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<![\w.])[-+]?(?:\d+(?:\.\d*)?(?:e[-+]?\d+)?|nan|inf)(?![\w.]*\w)", re.IGNORECASE)
_HEX: Final = re.compile(r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b|\b(?!be\b)[0-9a-f]{2}\b|\b[0-9a-f]{4,}\b", re.IGNORECASE)
_LIST: Final = re.compile(r"\bN(?:,? N\b)+")
KINDS_MAX: Final = 100
OTHER: Final = "other reasons"


def kind_of(reason: str) -> str:
    """``reason`` with each number, bytes and characteristic replaced by a letter."""
    for pattern, by in ((_UUID, "U"), (_QUOTED, "Q"), (_NUMBER, "N"), (_HEX, "N"), (_LIST, "N")):
        reason = pattern.sub(by, reason)
    return reason


class Tally:
    """How often each kind of reason came; bounded, since reasons come from outside."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        """Count one refusal."""
        kind = kind_of(reason)
        full = len(self._counts) >= KINDS_MAX and kind not in self._counts
        self._counts[OTHER if full else kind] += 1

    @property
    def counts(self) -> dict[str, int]:
        """Kind to count, the most frequent first."""
        return dict(self._counts.most_common())

    @property
    def total(self) -> int:
        """All refusals."""
        return sum(self._counts.values())
