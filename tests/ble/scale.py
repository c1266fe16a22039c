"""Many simulated sensors into one gateway process: every frame counted where it is sent and where it ends.

    python -m tests.ble.scale 32 60          # 32 sensors, 60 s, ten samples a notification
    python -m tests.ble.scale 32 60 --batch 1 --apart   # one sample a notification, sensors in a process of their own

Counted for each sensor: the numbers of the notifications that left it; the numbers in the journal, decoded again; and what the
pipeline's last device report says it received, missed and refused. All three must agree, in order and without a double.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from processing.pipeline import DeviceStatus
from processing.rules.study import Study
from processing.types import ImuBatch
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Adapter, RadioLimits, RadioSettings, Sensor, SessionLimits, Settings, Site, Web
from sensor_gateway.drivers.open_profile import OpenProfileDriver
from sensor_gateway.gateway import Gateway
from sensor_gateway.radio.link import Backends
from sensor_gateway.radio.pool import Radios
from sensor_gateway.radio.session import Session
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import CONTROL, Journal
from tests.ble.support.air import Air
from tests.ble.support.backend import CENTRAL_ADDRESS, Central
from tests.ble.support.clip import Clip
from tests.ble.support.far import FarClips, address_of

# Patient: on a busy machine everything is late, and a start written anew would cost samples.
SESSION = SessionLimits(search_s=300, first_data_s=600, stall_s=600, pause_s=0.2, pause_max_s=2)
TIMING = RadioLimits(scan_slice_s=1, scan_pause_s=0.01, connect_s=120, connect_outer_s=240)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Frames are notifications. ``cpu``: of this process, as a share of one processor: the sensors' too, unless apart."""

    sensors: int
    seconds: float
    sent: int
    journaled: int
    received: int
    missing_samples: int
    refused: int
    samples: int
    in_order: bool
    cpu: float


def settings_of(n: int, folder: Path, batch: int) -> Settings:
    sensors = tuple(Sensor(f"clip-{i}", f"w-{i}", address=address_of(i), options={"batch": batch}) for i in range(n))
    radio = RadioSettings((Adapter(CENTRAL_ADDRESS, n),), SESSION, TIMING)
    return Settings(Site(data_dir=str(folder)), sensors, Web(enabled=False), radio=radio)


class NearClips:
    """The sensors in this process."""

    def __init__(self, clips: list[Clip]) -> None:
        self.clips = clips

    async def silence(self) -> dict[str, list[int]]:
        """Stop sending; the numbers of what was sent, by address."""
        await asyncio.gather(*(clip.fall_silent() for clip in self.clips))
        return {clip.address: clip.sent for clip in self.clips}


@asynccontextmanager
async def near(n: int) -> AsyncIterator[tuple[Backends, NearClips]]:
    air = Air()
    central = Central(air)
    await central.device.power_on()
    clips = [Clip(air, address_of(i)) for i in range(n)]
    for clip in clips:
        clip.keeps_s = math.inf  # on a busy machine it sends late, but all
        await clip.power_on()
    try:
        yield central.backends(), NearClips(clips)
    finally:
        for clip in clips:
            await clip.power_off()


async def measure(n: int, seconds: float, folder: Path, batch: int = 10, apart: bool = False) -> Outcome:
    """Run ``n`` sensors for ``seconds`` from when all of them stream."""
    settings = settings_of(n, folder, batch)
    async with FarClips.started(n) if apart else near(n) as (backends, clips):
        gateway = Gateway(settings, Study(), folder, SystemClock(), radios=Radios(settings.radio, backends))
        stop = asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))
        try:
            give_up = time.monotonic() + 120 + 10 * n
            while any(r.link != "streaming" for r in gateway.runners.values()):
                if running.done():
                    running.result()
                assert time.monotonic() < give_up, {s: r.link for s, r in gateway.runners.items()}
                await asyncio.sleep(0.1)
            began, cpu = time.monotonic(), time.process_time()
            await asyncio.sleep(seconds)
            lasted, cpu = time.monotonic() - began, time.process_time() - cpu
            sent = await clips.silence()
            await _arrived(gateway, sum(map(len, sent.values())))
            for runner in gateway.runners.values():  # a link state asks the pipeline for a report, after all that came
                await runner.command(DeviceStatus(link="streaming"))
                await runner.caught_up()
        finally:
            stop.set()
            await running
    return _count(settings, gateway.store_path, folder, sent, lasted, cpu)


async def _arrived(gateway: Gateway, sent: int) -> None:
    """Return when the sessions have as much as was sent, or nothing more comes for long."""
    sessions = [t for t in gateway.transports.values() if isinstance(t, Session)]
    before, idle_s = -1, 0.0
    while (have := sum(s.stats.payloads for s in sessions)) < sent and idle_s < 120:
        idle_s = 0.0 if have > before else idle_s + 0.2
        before = have
        await asyncio.sleep(0.2)


def _count(
    settings: Settings, store_path: Path, folder: Path, sent: dict[str, list[int]], lasted: float, cpu: float
) -> Outcome:
    spool = Spool(folder / settings.site.data_dir / "spool.db")
    store = Store.open(store_path, readonly=True)
    with contextlib.closing(spool), contextlib.closing(store):
        journal = Journal(spool, 10**12)
        journaled = received = missing = refused = samples = 0
        in_order = True
        for sensor in settings.sensors:
            driver = OpenProfileDriver()
            payloads = [e.received for entries in journal.read(sensor.id, 1) for e in entries if e.source != CONTROL]
            items = [i for r in payloads for i in driver.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns)]
            batches = [i for i in items if isinstance(i, ImuBatch)]
            journaled += len(payloads)
            samples += sum(len(b.t_dev_ticks) for b in batches)
            in_order &= [b.seq for b in batches] == sent[sensor.address]
            *_, last = store.devices(sensor.wearer)
            received += last.frames_received or 0
            missing += last.frames_lost or 0
            refused += last.frames_rejected or 0
    total = sum(map(len, sent.values()))
    return Outcome(
        len(sent),
        round(lasted, 2),
        total,
        journaled,
        received,
        missing,
        refused,
        samples,
        in_order,
        round(cpu / lasted, 3),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sensors", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--batch", type=int, default=10, help="samples a notification")
    parser.add_argument("--apart", action="store_true", help="sensors in a process of their own, HCI between them")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(measure(args.sensors, args.seconds, Path(folder), args.batch, args.apart))
    print(json.dumps(asdict(outcome)))
    whole = outcome.in_order and outcome.sent == outcome.journaled == outcome.received
    return int(not whole or bool(outcome.missing_samples or outcome.refused))


if __name__ == "__main__":
    sys.exit(main())
