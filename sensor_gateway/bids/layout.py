"""Names in a BIDS data set: labels hold letters and digits only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final

from processing.types import NS_PER_S

TASK: Final = "dailyliving"
BIDS_VERSION: Final = "1.10.0"
DAY_NS: Final = 86_400 * NS_PER_S


def label(text: str) -> str:
    """A pseudonym as a BIDS label."""
    return "".join(c for c in text if c.isalnum())


def day_label(t_utc_ns: int) -> str:
    """The UTC day as a session label."""
    return datetime.fromtimestamp(t_utc_ns // NS_PER_S, UTC).strftime("%Y%m%d")


def iso(t_utc_ns: int) -> str:
    """A time as BIDS writes it: microseconds, Z."""
    seconds, rest = divmod(t_utc_ns, NS_PER_S)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest // 1000:06d}Z"


@dataclass(frozen=True, slots=True)
class Session:
    """One wearer's UTC day."""

    wearer: str
    day: str

    @property
    def folder(self) -> PurePosixPath:
        """Relative to the data set."""
        return PurePosixPath(f"sub-{label(self.wearer)}/ses-{self.day}")

    @property
    def stem(self) -> str:
        """What all its files begin with."""
        return f"sub-{label(self.wearer)}_ses-{self.day}"

    def motion(self, system: str, suffix: str) -> PurePosixPath:
        """A file of one tracking system, e.g. suffix ``motion.tsv``."""
        return self.folder / "motion" / f"{self.stem}_task-{TASK}_tracksys-{system}_{suffix}"

    def events(self, suffix: str) -> PurePosixPath:
        """The events beside the motion files."""
        return self.folder / "motion" / f"{self.stem}_task-{TASK}_{suffix}"

    def scans(self) -> PurePosixPath:
        """When each file begins."""
        return self.folder / f"{self.stem}_scans.tsv"
