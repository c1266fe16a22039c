"""Many live sensors for one gateway process: payloads made once, played at the pace of life, each sensor a little later.

The driver `wave` is found as every third-party driver is. One task plays all sensors of the process, as one radio does; what is
measured is the gateway, not hundreds of timers. Times are those of arrival now; the sensors' own clocks run on in the payloads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from heapq import heappop, heappush
from pathlib import Path
from typing import ClassVar

from sensor_gateway.config import Sensor
from sensor_gateway.drivers.base import Received, Sink, TransportContext
from sensor_gateway.drivers.open_profile import DATA_UUID, OpenProfileDriver
from sensor_gateway.drivers.synthetic import PER_FRAME
from tests.faults.tape import START_NS, read_tape

TICK_S = 0.02


class WaveSensor:
    """One sensor of the wave: option ``path`` is a tape, ``begin_ns`` the time at which it begins."""

    _frames: ClassVar[dict[Path, list[tuple[int, bytes]]]] = {}

    def __init__(self, sensor: Sensor, context: TransportContext) -> None:
        path = Path(str(sensor.options["path"]))
        self.driver = OpenProfileDriver(sensor.rate_hz, PER_FRAME, acc_range_g=16, gyr_range_dps=2000)
        # read once: read anew after other sensors of the same turn, it would tell of a wall clock set back by what they took
        self._mono_offset_ns = context.clock.mono_ns() - time.time_ns()
        self._tape = self._frames.get(path) or self._frames.setdefault(path, list(read_tape(path)))
        self._begin_ns = int(sensor.options["begin_ns"])

    async def run(self, sink: Sink, on_link: Callable[[str], None]) -> None:
        on_link("streaming")
        done = asyncio.get_running_loop().create_future()
        _Radio.of_this_loop().play(self, sink, done)
        await done

    @property
    def payloads(self) -> int:
        return len(self._tape)

    def due_ns(self, at: int) -> int:
        """When payload number ``at`` arrives."""
        return self._tape[at][0] - START_NS + self._begin_ns

    def payload(self, at: int) -> Received:
        rx_ns = self.due_ns(at)
        return Received(DATA_UUID, self._tape[at][1], rx_ns + self._mono_offset_ns, rx_ns)


class _Radio:
    """Plays all sensors of one event loop, payloads in the order of their arrival."""

    _radios: ClassVar[dict[asyncio.AbstractEventLoop, _Radio]] = {}

    def __init__(self) -> None:
        self._sensors: list[tuple[WaveSensor, Sink, asyncio.Future[None]]] = []
        self._next: list[tuple[int, int, int]] = []  # of each sensor: when, which sensor, which payload
        self._task = asyncio.create_task(self._run())

    @classmethod
    def of_this_loop(cls) -> _Radio:
        loop = asyncio.get_running_loop()
        return cls._radios.get(loop) or cls._radios.setdefault(loop, cls())

    def play(self, sensor: WaveSensor, sink: Sink, done: asyncio.Future[None]) -> None:
        self._sensors.append((sensor, sink, done))
        self._put(len(self._sensors) - 1, 0)

    def _put(self, number: int, at: int) -> None:
        sensor, _, done = self._sensors[number]
        if at < sensor.payloads:
            heappush(self._next, (sensor.due_ns(at), number, at))
        elif not done.done():
            done.set_result(None)

    async def _run(self) -> None:
        while True:
            now_ns = time.time_ns()
            while self._next and self._next[0][0] <= now_ns:
                _, number, at = heappop(self._next)
                sensor, sink, done = self._sensors[number]
                if not done.done():
                    await sink([sensor.payload(at)])
                    self._put(number, at + 1)
            await asyncio.sleep(TICK_S)


def install_plugin(folder: Path) -> None:
    """A folder for PYTHONPATH in which a gateway finds the driver."""
    info = folder / "tiltline_wave-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiltline-wave\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tiltline.drivers]\nwave = tests.scale.wave:WaveSensor\n")
