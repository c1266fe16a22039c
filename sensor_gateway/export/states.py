"""Where the computation stood at the end of each day, kept in the data folder: an export of new days begins there.

What only the journal has is computed in one go from its beginning (`journal.py`); a month of it would be computed again each
night for one new day. So whoever goes through it leaves the state in which a day ended, ``states/WEARER/SENSOR/DAY.state``, and the
next one goes on from the last state before what is asked for: the same records, bit for bit, as after a restart of the gateway.
States are a convenience: without them everything is computed anew. One that another configuration, another version
or another journal left is passed over; it is known by the entry after which it was taken.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard

from processing.context.periods import BoutStage
from processing.types import NS_PER_S
from sensor_gateway.config import Sensor
from sensor_gateway.derive import Recipe, SnapshotError
from sensor_gateway.replay.long import LongDeriver
from sensor_gateway.replay.rederive import SpoolReader
from sensor_gateway.sinks.makers import COMPUTING, installed
from sensor_gateway.spool.block import Frames
from sensor_gateway.spool.journal import JournalReader
from sensor_gateway.whole_files import write_whole

STATES: Final = "states"
"""Folder in a data folder. An erasure removes a wearer's, retention those older than the journal may be."""
_DAY_NS: Final = 86_400 * NS_PER_S


class _State(msgspec.Struct, array_like=True):
    """After journal entry ``seq``, which arrived at these instants; ``newest_ns`` as of `Computing`."""

    recipe: str
    versions: dict[str, str]
    seq: int
    rx_mono_ns: int
    rx_utc_ns: int
    newest_ns: int
    deriver: bytes
    bouts: list[Any]


@dataclass(slots=True)
class Computing:
    """Driver, pipeline and bouts after all entries before ``next_seq``; no entry or sample of theirs was newer than ``newest_ns``."""

    deriver: LongDeriver
    bouts: BoutStage
    next_seq: int
    newest_ns: int = 0


class States:
    """The states of one wearer's sensor."""

    def __init__(self, data_folder: Path, sensor: Sensor, recipe: Recipe, spool: SpoolReader) -> None:
        self._folder = data_folder / STATES / sensor.wearer / sensor.id
        self._sensor, self._recipe, self._journal = sensor.id, recipe, JournalReader(spool)
        self._versions = installed(*COMPUTING)

    def before(self, t_utc_ns: int, span: range) -> Computing | None:
        """The newest state before ``t_utc_ns``, after an entry of ``span``; None: there is none."""
        for path in sorted(self._folder.glob("*.state"), reverse=True):
            if path.stem <= _day_text(t_utc_ns):
                with contextlib.suppress(OSError, msgspec.DecodeError, zstandard.ZstdError, SnapshotError):
                    body = zstandard.ZstdDecompressor().decompress(path.read_bytes())
                    state = msgspec.msgpack.decode(body, type=_State)
                    if state.newest_ns < t_utc_ns and state.seq in span and self._fits(state):
                        return self._restored(state)
        return None

    def _fits(self, state: _State) -> bool:
        if (state.recipe, state.versions) != (self._recipe.hash, self._versions):
            return False
        # After a power cut, or under a copy put back, other entries may have its number.
        found = next(self._journal.read_frames(self._sensor, state.seq), None)
        return found is not None and _arrival(found, 0) == (state.seq, state.rx_mono_ns, state.rx_utc_ns)

    def _restored(self, state: _State) -> Computing:
        deriver, bouts = LongDeriver(self._recipe, every_sample=True), BoutStage()
        deriver.restore(state.deriver)
        bouts.restore(state.bouts)
        return Computing(deriver, bouts, state.seq + 1, state.newest_ns)

    def keep(self, now: Computing, last: Frames) -> None:
        """Keep where the computation stands after the ``last`` entries; left out where the folder cannot be written."""
        seq, mono_ns, utc_ns = _arrival(last, -1)
        state = _State(
            self._recipe.hash, self._versions, seq, mono_ns, utc_ns, now.newest_ns, now.deriver.snapshot(), now.bouts.snapshot()
        )  # fmt: skip
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            body = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(state))
            write_whole(self._folder / f"{_day_text(now.newest_ns)}.state", body)


def is_another_day(newest_ns: int, coming: Frames) -> bool:
    """Whether what comes next goes on past the day so far: time to keep the state."""
    return newest_ns > 0 and int(coming.rx_utc_ns[-1]) // _DAY_NS > newest_ns // _DAY_NS


def drop_states(data_folder: Path, before_ns: int, dry_run: bool = False) -> int:
    """Delete states of days that ended before an instant; how many."""
    old = [p for p in (data_folder / STATES).glob("*/*/*.state") if p.stem < _day_text(before_ns)]
    for path in [] if dry_run else old:
        path.unlink(missing_ok=True)
    return len(old)


def _arrival(frames: Frames, i: int) -> tuple[int, int, int]:
    """Number and arrival of its first (0) or last (-1) entry."""
    return range(frames.first_seq, frames.next_seq)[i], int(frames.rx_mono_ns[i]), int(frames.rx_utc_ns[i])


def _day_text(t_utc_ns: int) -> str:
    return datetime.fromtimestamp(t_utc_ns // NS_PER_S, UTC).strftime("%Y-%m-%d")
