"""What whoever only reads needs of a place with records: the embedded store has it, and InfluxDB (`influx_reader`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol, TypeAlias

Cell = str | int | float | None
FAR_NS: Final = 2**63 - 1
PAGE: Final = 10_000
UPRIGHT: Final = ("standing", "walking", "running", "stairs")
Minute: TypeAlias = tuple[str | None, float | None, int, int]
"""An epoch in short, for views of weeks: posture of most of the minute (None where nothing was received), median tilt [deg], seconds
worn, seconds `UPRIGHT`. A plain tuple: a month has 43,200.
"""


class Records(Protocol):
    """Records by kind, wearer and UTC interval [t0, t1)."""

    @property
    def path(self) -> Path | str:
        """The place's name in sentences and manifests."""

    def wearers(self) -> list[str]:
        """Wearers with any record, sorted."""

    def days(self, kind: str, wearer: str, t0_ns: int = 0, t1_ns: int = FAR_NS) -> dict[int, str]:
        """UTC days (since 1970) that hold records, each with a word that changes when its records do."""

    def count(self, kind: str, wearer: str, t0_ns: int = 0, t1_ns: int = FAR_NS) -> int:
        """How many records `columns` would give."""

    def columns(
        self, kind: str, wearer: str, t0_ns: int = 0, t1_ns: int = FAR_NS, page: int = PAGE
    ) -> Iterator[dict[str, list[Cell]]]:
        """Columns of ``kind`` with ``sensor`` in front, by time and then sensor (events: id), in pages. Missing is None."""
