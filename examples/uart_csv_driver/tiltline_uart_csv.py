"""A driver for sensors that print ``millis,ax,ay,az,gx,gy,gz`` as text lines over the Nordic UART service.

Many first sketches for an Arduino Nano 33 BLE, a XIAO nRF52840 Sense or a Puck.js do this: acceleration in thousandths of g,
angular rate in tenths of a degree a second, time in milliseconds since start. Our own line format, made up for this example;
notifications cut the text anywhere, so that lines are put together again here. Writing ``S<rate>`` starts, ``X`` stops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np

from processing.types import GRAVITY_MPS2, ClockSpec, ImuBatch
from sensor_gateway.drivers.base import Advert, Capabilities, Decoded, Rejected, Step
from sensor_gateway.radio.ble_sensor import BleSensor

SERVICE_UUID: Final = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
RX_UUID: Final = "6e400002-b5a3-f393-e0a9-e50e24dcca9e"
TX_UUID: Final = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"
RATES_HZ: Final = (25, 50, 100)
LINE_MAX: Final = 80
"""Bytes; a longer "line" is a lost line end, and would otherwise grow for as long as the sensor sends."""
_BATCH_MAX: Final = 40  # of the shortest lines, in the largest notification
_ACC_MPS2: Final = GRAVITY_MPS2 / 1000
_GYR_RPS: Final = math.radians(0.1)
_MILLIS: Final = 1 << 32


class UartCsvDriver:
    """Holds the beginning of a line whose end has not come. Raises ValueError where the sketch has no such rate."""

    id: ClassVar[str] = "uart-csv"
    version: ClassVar[int] = 1

    def __init__(self, rate_hz: float = 50.0) -> None:
        if rate_hz not in RATES_HZ:
            raise ValueError(f"rate_hz is {rate_hz:g}; the sketch knows {', '.join(map(str, RATES_HZ))} Hz")
        self._rate_hz = float(rate_hz)
        self._rest = b""

    @property
    def capabilities(self) -> Capabilities:
        """Milliseconds that wrap after 49.7 days; lines are not numbered."""
        return Capabilities(ClockSpec(tick_ns=1_000_000, bits=32), None, self._rate_hz, _BATCH_MAX)

    def match(self, advert: Advert) -> float:
        """Very many things have this service: only a name that begins with "Tilt" makes it likely."""
        named = (advert.name or "").startswith("Tilt")
        return 0.8 if named and SERVICE_UUID in advert.service_uuids else 0.0

    def notify_uuids(self) -> Sequence[str]:
        """Where the text comes from."""
        return (TX_UUID,)

    def start(self) -> Sequence[Step]:
        """Stop first: a sketch that still runs from before a lost connection ignores a new rate."""
        return (*self.stop(), Step(RX_UUID, f"S{self._rate_hz:g}\n".encode()))

    def stop(self) -> Sequence[Step]:
        """End the lines."""
        return (Step(RX_UUID, b"X\n"),)

    def feed(self, uuid: str, payload: bytes, rx_mono_ns: int, rx_utc_ns: int) -> list[Decoded]:
        """The samples of the lines that end in this notification as one batch; lines that are none, with the reason."""
        if uuid != TX_UUID:
            return [Rejected(f"characteristic {uuid} carries no lines", payload)]
        *lines, self._rest = (self._rest + payload).split(b"\n")
        out: list[Decoded] = []
        rows: list[list[int]] = []
        for line in lines:
            row = _read(line)
            if isinstance(row, str):
                out.append(Rejected(row, line))
            elif len(rows) < _BATCH_MAX:
                rows.append(row)
            else:
                out.append(Rejected(f"more than {_BATCH_MAX} lines in one notification", line))
        if len(self._rest) > LINE_MAX:
            out.append(Rejected(f"{len(self._rest)} bytes without the end of a line", self._rest))
            self._rest = b""
        if rows:
            values = np.array(rows, np.int64)
            si = values.astype(np.float64)
            acc, gyr = si[:, 1:4] * _ACC_MPS2, si[:, 4:7] * _GYR_RPS
            out.append(ImuBatch(values[:, 0], None, rx_mono_ns, rx_utc_ns, acc, gyr))
        return out

    def reset(self) -> None:
        """A line begun on one connection never ends on the next."""
        self._rest = b""

    def snapshot(self) -> dict[str, int]:
        """The unfinished line as one number; a 1 in front keeps its leading zeros. Eight bytes are one entry."""
        chunks = [self._rest[i : i + 7] for i in range(0, len(self._rest), 7)]
        return {str(i): int.from_bytes(b"\x01" + chunk, "big") for i, chunk in enumerate(chunks)}

    def restore(self, state: dict[str, int]) -> None:
        """Take `snapshot`'s numbers back."""
        numbers = [state[str(i)] for i in range(len(state))]
        self._rest = b"".join(n.to_bytes((n.bit_length() + 7) // 8, "big")[1:] for n in numbers)


def _read(line: bytes) -> list[int] | str:
    """Seven whole numbers, or why not."""
    parts = line.rstrip(b"\r").split(b",")
    if len(parts) != 7:
        return f"a line of {len(parts)} values where 7 stand"
    try:
        row = [int(part) for part in parts]
    except ValueError:
        return "a line holds something that is no whole number"
    if not 0 <= row[0] < _MILLIS or max(map(abs, row[1:4])) > 20_000 or max(map(abs, row[4:])) > 25_000:
        return "a line with a value that no range of the sensor reaches"
    return row


sensor: Final = BleSensor(UartCsvDriver, (SERVICE_UUID,))
"""What the entry point names: makes the transport (search, connect, watch, reconnect) around the driver."""
