"""Wearers on tape: payloads of simulated sensors, made once, and the plugin that plays them into any number of gateways.

A tape is what a radio delivered: lost frames, late frames, resets of the sensor's clock. Played from any point it gives the
same payloads again, so two gateways on one tape, one of them tortured, must end with the same records. The plugin is found
the way every third-party driver is: an entry point of the group `tiltline.drivers`.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import shutil
from binascii import crc_hqx
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from struct import Struct

from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Sensor
from sensor_gateway.drivers.base import Received, Sink, TransportContext
from sensor_gateway.drivers.open_profile import DATA_UUID, OpenProfileDriver
from sensor_gateway.drivers.synthetic import PER_FRAME, SyntheticSensor

REPOSITORY = Path(__file__).parents[2]
NS = 1_000_000_000
START_NS = 1_772_352_000 * NS  # 2026-03-01T08:00:00Z
GROUP = 600
_COUNTERS = Struct("<HIH")  # sequence number, device time low and high, from byte 2 of a frame
_CRC_AT = 18
_ENTRY = Struct("<qH")  # arrival, length of the payload that follows


@dataclass(frozen=True)
class Wearer:
    """One wearer of a tape, and where her sensor's clock starts anew [s from the start]."""

    wearer: str
    sensor: str
    seed: int
    resets_s: tuple[float, ...]


def wearers(count: int, seconds: float, seed: int) -> list[Wearer]:
    rng = random.Random(seed)
    resets = [
        tuple(sorted(rng.uniform(60, seconds - 60) for _ in range(1 + int(seconds / 7200)))) for _ in range(count)
    ]
    return [Wearer(f"w-01{i + 1}", f"clip-{i + 1}", 100 * seed + i + 1, resets[i]) for i in range(count)]


def write_tape(path: Path, wearer: Wearer, seconds: float) -> None:
    """Two per cent of the frames lost in bursts, a drifting clock, and the resets."""
    start, until = (datetime.fromtimestamp(t, UTC).isoformat() for t in (START_NS / NS, START_NS / NS + seconds))
    options: dict[str, str | int | float | bool] = {
        "seed": wearer.seed,
        "start": start,
        "until": until,
        "speed": 0.0,
        "loss": 0.02,
        "burst_s": 1.0,
        "ppm": 40.0,
    }
    sensor = Sensor(wearer.sensor, wearer.wearer, "synthetic", options=options)
    with path.open("wb") as file:
        resets = _Resets(wearer.resets_s)

        async def collect(received: list[Received]) -> None:
            for r in received:
                payload = resets.applied(r.rx_utc_ns, r.payload)
                file.write(_ENTRY.pack(r.rx_utc_ns, len(payload)) + payload)

        asyncio.run(SyntheticSensor(sensor, TransportContext(SystemClock())).run(collect, lambda _: None))


def repeat_tape(path: Path, seconds: float, times: float) -> None:
    """Make the tape of this length ``times`` as long: the same again, the sensor's clock beginning anew as after a night on
    the charger.
    """
    length, step_ns = path.stat().st_size, round(seconds * NS)
    until_ns = START_NS + round(seconds * times * NS)
    with path.open("rb") as day, path.open("ab") as file:
        for number in range(1, math.ceil(times)):
            day.seek(0)
            while day.tell() < length:
                rx, size = _ENTRY.unpack(day.read(_ENTRY.size))
                payload = day.read(size)
                if rx + number * step_ns >= until_ns:
                    return
                file.write(_ENTRY.pack(rx + number * step_ns, size) + payload)


class _Resets:
    """From each reset on, device time and sample count begin at zero again, as after a battery pulled out."""

    def __init__(self, resets_s: tuple[float, ...]) -> None:
        self._limits = [START_NS + round(s * NS) for s in resets_s]
        self._passed = self._zero_seq = self._zero_us = 0

    def applied(self, rx: int, payload: bytes) -> bytes:
        seq, low, high = _COUNTERS.unpack_from(payload, 2)
        passed = sum(rx >= limit for limit in self._limits)
        if passed != self._passed:
            self._passed, self._zero_seq, self._zero_us = passed, seq, low | high << 32
        us = (low | high << 32) - self._zero_us
        head = bytearray(payload[:_CRC_AT])
        _COUNTERS.pack_into(head, 2, (seq - self._zero_seq) & 0xFFFF, us & 0xFFFFFFFF, (us >> 32) & 0xFFFF)
        body = payload[_CRC_AT + 2 :]
        crc = crc_hqx(body, crc_hqx(bytes(head), 0xFFFF))
        return bytes(head) + crc.to_bytes(2, "little") + body


def read_tape(path: Path, after_utc_ns: int = 0) -> Iterator[tuple[int, bytes]]:
    """Arrival and payload of what came after this time; read piece by piece, so that weeks of tape need no memory."""
    with path.open("rb") as file:
        while head := file.read(_ENTRY.size):
            rx, size = _ENTRY.unpack(head)
            payload = file.read(size)
            if rx > after_utc_ns:
                yield rx, payload


def freeze_code(folder: Path) -> Path:
    """A copy of the program as it is now: a campaign takes minutes and restarts it often, and somebody may be at work on it."""
    code = folder / "code"
    if not code.exists():
        for name in ("processing", "sensor_gateway", "tests"):
            skipped = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(REPOSITORY / name, code / name, ignore=skipped)
    return code


def install_plugin(folder: Path) -> None:
    """A folder for PYTHONPATH in which a gateway finds the driver `tape`."""
    info = folder / "tiltline_tape-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiltline-tape\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tiltline.drivers]\ntape = tests.faults.tape:TapeSensor\n")


def set_pace(path: Path, until_ns: int) -> None:
    """Let the tapes run up to this tape time; a crash between never leaves half a file."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(until_ns))
    fresh.replace(path)


class TapeSensor:
    """Plays a tape up to the time that the pace file names; ends with the tape."""

    def __init__(self, sensor: Sensor, context: TransportContext) -> None:
        self.driver = OpenProfileDriver(sensor.rate_hz, PER_FRAME, acc_range_g=16, gyr_range_dps=2000)
        self._left = read_tape(Path(str(sensor.options["path"])), context.start_after_utc_ns or 0)
        self._pace = Path(str(sensor.options["pace"])) if "pace" in sensor.options else None
        # The monotonic time of the machine that recorded: it never jumps, whatever the playing machine's clock does.
        self._mono_offset = -START_NS

    async def run(self, sink: Sink, on_link: Callable[[str], None]) -> None:  # noqa: ARG002 - a tape has no link
        entry = next(self._left, None)
        while entry is not None:
            until = self._until()
            group: list[Received] = []
            while entry is not None and entry[0] <= until and len(group) < GROUP:
                group.append(Received(DATA_UUID, entry[1], entry[0] + self._mono_offset, entry[0]))
                entry = next(self._left, None)
            if group:
                await sink(group)
            else:
                await asyncio.sleep(0.05)

    def _until(self) -> int:
        if self._pace is not None:
            with suppress(OSError, ValueError):
                return int(json.loads(self._pace.read_text()))
            return 0
        return 1 << 62
