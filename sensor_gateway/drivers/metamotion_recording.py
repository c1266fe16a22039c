"""A MetaMotion's on-board logger for the time out of range: begun by the board itself when the link breaks, read afterwards.

Part of `metamotion`, whose session copy asks `fetch` what to write (`base.Fetches`). The streams carry no time, the log does: a tick
of 1.46 ms since the board's restart. The board tells its tick when asked, and by that each entry is dated on the gateway's clock
(`base.Late`), to within that answer's way. The log is read as the vendor's SDK reads it: as a whole, then cleared.
What lies in the log before the first live sample of this wearer is cleared unread. Source: vendor's C++ SDK and its tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from processing.types import F64, I64
from sensor_gateway.drivers.backfill import ANSWER_NS
from sensor_gateway.drivers.join import Join
from sensor_gateway.drivers.metamotion_chips import ACC, GYRO, Chip
from sensor_gateway.drivers.metamotion_log import LOG_DATA, TICK_NS, Halves, decode_log

LOGGING: Final = 0x0B
EVENT: Final = 0x0A
CLEAR: Final = (bytes([LOGGING, 0x0D, 1]), bytes([LOGGING, 0x09]) + b"\xff" * 4)
FLUSH: Final = bytes([LOGGING, 0x10, 1])
ASK_TIME: Final = bytes([LOGGING, 0x84])
ASK_LENGTH: Final = bytes([LOGGING, 0x85])
TOLD_TIME, TOLD_LENGTH, TOLD_LOGGER, TOLD_PROGRESS, TOLD_PAGE = 0x84, 0x85, 0x02, 0x08, 0x0D

_TELL: Final = tuple(bytes([LOGGING, register, 1]) for register in (0x0D, 0x07, 0x08))
_KEEP_OLDEST: Final = bytes([LOGGING, 0x0B, 0])
# When the link breaks (settings module, event 0A): start logging.
_ON_BREAK: Final = (bytes([EVENT, 0x02, 0x11, 0x0A, 0xFF, LOGGING, 0x01, 1]), bytes([EVENT, 0x03, 1]))
_READ: Final = bytes([LOGGING, 0x06])
_CONFIRM_PAGE: Final = bytes([LOGGING, 0x0E])
_LOGGERS: Final = {ACC: (0, 1), GYRO: (2, 3)}  # in the order in which they are made, after all were removed
_OURS: Final = frozenset(number for pair in _LOGGERS.values() for number in pair)
_HALF_SIZES: Final = (0x60, 0x24)  # four bytes from the first, two from the fifth
_WAITING: Final = 64  # samples of one stream that wait for the other
_MODULE: Final = {ACC: "acc", GYRO: "gyr"}
_U32: Final = 1 << 32
_LATER_TICKS: Final = round(3600e9 / TICK_NS)  # the board goes on logging after it told its tick

Dated = tuple[I64, F64, F64]
"""Times (n,) [ns of the gateway's monotonic clock], raw accelerations and angular rates (n, 3)."""


def ask(chip: Chip) -> list[bytes]:
    """What the board is asked on connecting, once logging is off and before anything new is set up."""
    return [*([FLUSH] if chip.log_in_pages else []), *_TELL, ASK_TIME, ASK_LENGTH]


def prepare(chip: Chip) -> list[bytes]:
    """Loggers of both sensors, and the order to start them when the link breaks."""
    loggers = [
        bytes([LOGGING, 0x02, module, chip.single[module], 0xFF, half]) for module in _LOGGERS for half in _HALF_SIZES
    ]
    return [*loggers, _KEEP_OLDEST, *_ON_BREAK]


class Recording:
    """What one board logged. `feed` decodes and is part of the driver's snapshot; the rest says what to ask next."""

    def __init__(self, period_ns: int) -> None:
        self._gap_ticks = round(5 * period_ns / TICK_NS)
        self._halves = {module: Halves(loggers) for module, loggers in _LOGGERS.items()}
        self._uid = self._done = -1  # restart that is read, and the tick of the last sample that was given
        self._lived = self._known = False
        self.connection_lost()

    def connection_lost(self) -> None:
        """The next answers are another connection's. What was given already stays known: it may be read again."""
        self._ref_tick = self._ref_uid = -1
        self._ref_ns = 0
        self._begin()
        # What the board logged is this wearer's only if the board was heard before it went away.
        self._known = self._lived
        self._length, self._got, self._loggers = -1, 0, 0
        self._page = self._reading = False
        self._asked_ns = 0

    def _begin(self) -> None:
        self._join = Join(max_gap_ticks=self._gap_ticks, most=_WAITING)
        for halves in self._halves.values():
            halves.reset()

    def live(self) -> None:
        """Samples stream."""
        self._lived = True

    def feed(self, payload: bytes, rx_mono_ns: int) -> list[Dated] | str:
        """Take a message of the logger: samples that are complete now, or why it cannot be used."""
        self._asked_ns = rx_mono_ns
        register, body = payload[1], payload[2:]
        if payload.startswith(LOG_DATA):
            return self._entries(payload)
        if register == TOLD_TIME and len(body) == 5:
            self._ref_tick, self._ref_uid, self._ref_ns = int.from_bytes(body[:4], "little"), body[4] & 7, rx_mono_ns
        elif register == TOLD_LENGTH and len(body) in (2, 4):
            self._length = int.from_bytes(body, "little")
        elif register == TOLD_LOGGER and len(body) == 1:
            expected, self._loggers = self._loggers, self._loggers + 1
            if body[0] != expected:
                return f"logger {body[0]} instead of {expected}: the board's log cannot be told apart"
        elif register == TOLD_PROGRESS and len(body) in (2, 4):
            if int.from_bytes(body, "little") == 0 and self._reading:
                self._got = self._length
        elif register == TOLD_PAGE:
            self._page = True
        else:
            return f"message {payload[:2].hex()} of the logger with {len(body)} bytes"
        return []

    def _entries(self, payload: bytes) -> list[Dated] | str:
        try:
            entries = decode_log(payload)
        except ValueError as e:
            return str(e)
        self._got += len(entries)
        entries = [e for e in entries if e.logger in _OURS]  # the rest of a page that was not full is none
        if any(e.reset_uid != self._ref_uid for e in entries):
            return "logged before the board was restarted: nothing tells when that was"
        if self._uid != self._ref_uid:
            self._uid, self._done = self._ref_uid, -1
            self._begin()
        out: list[Dated] = []
        for entry in entries:
            for module, halves in self._halves.items():
                sample = halves.add(entry)
                if sample is not None:
                    out += self._add(module, *sample)
        return out

    def _add(self, module: int, tick: int, axes: tuple[int, int, int]) -> list[Dated]:
        add = self._join.add_acc if module == ACC else self._join.add_gyr
        joined = add(np.array([tick], np.int64), np.array([axes], np.float64))
        if joined is None:
            return []
        ticks, acc, gyr = joined
        new = ticks > self._done
        if not new.any():
            return []
        self._done = int(ticks[-1])
        ago = (self._ref_tick - ticks[new] + _LATER_TICKS) % _U32 - _LATER_TICKS
        return [(self._ref_ns - np.rint(ago * TICK_NS).astype(np.int64), acc[new], gyr[new])]

    def fetch(self, now_mono_ns: int) -> Sequence[bytes]:
        """What to write now to get on with the log, while samples stream."""
        if self._page:
            self._page = False
            return (_CONFIRM_PAGE,)
        if self._length > 0 and not self._reading and self._known:
            self._reading, self._got, self._asked_ns = True, 0, now_mono_ns
            length = self._length.to_bytes(4, "little")
            return (_READ + length + length,)
        if self._length > 0 and (not self._known or self._got >= self._length):
            self._length, self._reading = 0, False
            return CLEAR
        if self._reading and now_mono_ns - self._asked_ns >= ANSWER_NS:
            self._reading, self._length, self._asked_ns = False, -1, now_mono_ns
            return (ASK_TIME, ASK_LENGTH)
        return ()

    def snapshot(self) -> dict[str, int]:
        """What decoding goes on from."""
        own = {
            "log_uid": self._uid,
            "log_done": self._done,
            "log_ref_uid": self._ref_uid,
            "log_ref_tick": self._ref_tick,
        }
        own |= {f"log_{key}": number for key, number in self._join.snapshot().items()} | {"log_ref_ns": self._ref_ns}
        for module, halves in self._halves.items():
            own |= halves.snapshot(f"log_half_{_MODULE[module]}")
        return own | {"log_loggers": self._loggers}

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        self._uid, self._done = state["log_uid"], state["log_done"]
        self._ref_uid, self._ref_tick, self._ref_ns = state["log_ref_uid"], state["log_ref_tick"], state["log_ref_ns"]
        self._join.restore(
            {key.removeprefix("log_"): number for key, number in state.items() if key.startswith("log_")}
        )
        for module, halves in self._halves.items():
            halves.restore(f"log_half_{_MODULE[module]}", state)
        self._loggers = state["log_loggers"]
