"""Many live sensors for one gateway process: payloads made once, played at the pace of life, each sensor a little later.

The driver `wave` is found as every third-party driver is. One task plays all sensors of the process, as one radio does; what is
measured is the gateway, not hundreds of timers. Times are those of arrival now; the sensors' own clocks run on in the payloads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from sensor_gateway.config import Sensor
from sensor_gateway.drivers.base import Received, Sink, TransportContext
from sensor_gateway.drivers.open_profile import DATA_UUID, OpenProfileDriver
from sensor_gateway.drivers.synthetic import PER_FRAME
from tests.faults.tape import NS, START_NS, read_tape

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

    def due(self, at: int, now_ns: int) -> tuple[list[Received], int]:
        """The payloads from number ``at`` on that have arrived by now, and the number of the next one."""
        mono_ns = self._mono_offset_ns
        out = []
        while at < len(self._tape) and (rx := self._tape[at][0] - START_NS + self._begin_ns) <= now_ns:
            out.append(Received(DATA_UUID, self._tape[at][1], rx + mono_ns, rx))
            at += 1
        return out, at

    def ended(self, at: int) -> bool:
        return at >= len(self._tape)


class _Radio:
    """Plays all sensors of one event loop."""

    _radios: ClassVar[dict[asyncio.AbstractEventLoop, _Radio]] = {}

    def __init__(self) -> None:
        self._sensors: list[tuple[WaveSensor, Sink, asyncio.Future[None], list[int]]] = []
        self._task = asyncio.create_task(self._run())

    @classmethod
    def of_this_loop(cls) -> _Radio:
        loop = asyncio.get_running_loop()
        return cls._radios.get(loop) or cls._radios.setdefault(loop, cls())

    def play(self, sensor: WaveSensor, sink: Sink, done: asyncio.Future[None]) -> None:
        self._sensors.append((sensor, sink, done, [0]))

    async def _run(self) -> None:
        while True:
            now_ns = time.time_ns()
            for sensor, sink, done, at in self._sensors:
                received, at[0] = sensor.due(at[0], now_ns)
                for one in received:
                    await sink([one])
                if sensor.ended(at[0]) and not done.done():
                    done.set_result(None)
            self._sensors = [entry for entry in self._sensors if not entry[2].done()]
            await asyncio.sleep(max(TICK_S, TICK_S - (time.time_ns() - now_ns) / NS))


def install_plugin(folder: Path) -> None:
    """A folder for PYTHONPATH in which a gateway finds the driver."""
    info = folder / "tiltline_wave-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiltline-wave\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tiltline.drivers]\nwave = tests.scale.wave:WaveSensor\n")
