"""Many live sensors for one gateway process: payloads made once, played at the pace of life, each sensor a little later.

The driver `wave` is found as every third-party driver is. One task plays all sensors of the process, as one radio does; what is
measured is the gateway, not hundreds of timers. Times are those of arrival now; the sensors' own clocks run on in the payloads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from pathlib import Path
from typing import ClassVar, NamedTuple

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

    def arrivals(self) -> Iterator[Received]:
        """All payloads, in the order of their arrival."""
        shift_ns, mono_offset_ns = self._begin_ns - START_NS, self._mono_offset_ns
        for rx_ns, payload in self._tape:
            yield Received(DATA_UUID, payload, rx_ns + shift_ns + mono_offset_ns, rx_ns + shift_ns)


class _Played(NamedTuple):
    """A sensor in the queue: its next payload, when that is due, and what comes after it."""

    due_ns: int
    number: int  # of several due at once one goes first
    received: Received
    later: Iterator[Received]
    sink: Sink
    done: asyncio.Future[None]


class _Radio:
    """Plays all sensors of one event loop, payloads in the order of their arrival."""

    _radios: ClassVar[dict[asyncio.AbstractEventLoop, _Radio]] = {}

    def __init__(self) -> None:
        self._queue: list[_Played] = []
        self._count = 0
        self._task = asyncio.create_task(self._run())

    @classmethod
    def of_this_loop(cls) -> _Radio:
        loop = asyncio.get_running_loop()
        return cls._radios.get(loop) or cls._radios.setdefault(loop, cls())

    def play(self, sensor: WaveSensor, sink: Sink, done: asyncio.Future[None]) -> None:
        later = sensor.arrivals()
        first = next(later)
        self._count += 1
        heappush(self._queue, _Played(first.rx_utc_ns, self._count, first, later, sink, done))

    async def _run(self) -> None:
        queue = self._queue
        while True:
            now_ns = time.time_ns()
            while queue and queue[0].due_ns <= now_ns:
                due = heappop(queue)
                if due.done.done():
                    continue
                await due.sink([due.received])
                following = next(due.later, None)
                if following is not None:
                    heappush(queue, due._replace(due_ns=following.rx_utc_ns, received=following))
                elif not due.done.done():
                    due.done.set_result(None)
            await asyncio.sleep(TICK_S)


def install_plugin(folder: Path) -> None:
    """A folder for PYTHONPATH in which a gateway finds the driver."""
    info = folder / "tiltline_wave-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiltline-wave\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tiltline.drivers]\nwave = tests.scale.wave:WaveSensor\n")
