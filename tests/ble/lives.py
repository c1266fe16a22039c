"""Random lives of one sensor: hours of links that break, fade, stall and refuse, in a time of their own.

    python -m tests.ble.lives --seeds 50

What is known of every sample (`support.make`) is held against what comes out of session, driver and clock.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from processing.clock.timebase import Timebase, TimebaseParams
from processing.types import F64, I64, ImuBatch, TimedBatch
from sensor_gateway.config import RadioLimits, SessionLimits
from sensor_gateway.derive import BROKEN
from sensor_gateway.drivers.base import Driver, Received, Rejected
from sensor_gateway.drivers.capture2go import Capture2GoDriver
from sensor_gateway.drivers.metamotion import MetaMotionDriver
from sensor_gateway.drivers.movella_dot import MovellaDotDriver
from sensor_gateway.drivers.movesense import MovesenseDriver
from sensor_gateway.drivers.open_profile import OpenProfileDriver
from sensor_gateway.drivers.polar import PolarDriver
from sensor_gateway.drivers.witmotion import WitMotionDriver
from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.session import Session, Who
from tests.ble.support import makes, makes_packed, warp
from tests.ble.support.make import UPTIME_S, Make
from tests.ble.support.stack import ADDRESS, World

UTC0_NS = 1_790_000_000 * 10**9
KINDS: dict[str, tuple[type[Make], Callable[[], Driver]]] = {
    "open": (makes_packed.OpenClip, OpenProfileDriver),
    "capture2go": (makes_packed.Capture2Go, Capture2GoDriver),
    "dot": (makes.Dot, MovellaDotDriver),
    "witmotion": (makes.WitMotion, lambda: WitMotionDriver(100)),
    "movesense": (makes.Movesense, lambda: MovesenseDriver(52)),
    "metamotion": (makes.MetaMotionS, lambda: MetaMotionDriver(100)),
    "polar": (makes_packed.Verity, lambda: PolarDriver(52)),
}
LONGEST_WAY_BACK_S = 120.0  # a minute of pause, half of it more by chance, a search and a start
DATES_OFF_S = dict.fromkeys(KINDS, (0.1, 2.0)) | {"witmotion": (0.5, 8.0), "metamotion": (0.5, 8.0)}
"""Of 99 of 100 samples, and of all: a line that begins in a fade is late by it until the fade is over. A sensor without a clock is
dated too early by a loss, until that is seen (docs/devices.md)."""
LEFT_OUT = {"witmotion": 10, "capture2go": 600}
"""Samples a connection: those at 10 Hz before the rate is set; those that waited from before until the buffer is cleared."""
FAULTS = ("hang_up", "away", "fade", "stall", "reboot", "deaf", "mute", "unwilling", "late", "doubles", "burst")


@dataclass
class Life:
    """What one life gave: dated samples in order, and what was told of it."""

    kind: str
    seed: int
    numbers: I64
    numbers_gyr: I64
    t_ns: I64
    true_ns: I64
    arrived: list[int]
    refused: Counter[str]
    states: list[str]
    faults: list[str]
    rate_hz: float
    dated: bool

    @property
    def left_out(self) -> set[int]:
        """What was handed to the gateway and did not come out."""
        return set(self.arrived) - set(self.numbers.tolist())

    @property
    def error_s(self) -> F64:
        return (self.t_ns - self.true_ns) / 1e9


def read_numbers(values: F64, unit: float) -> I64:
    """Samples' numbers out of what a driver made of them; raises AssertionError where scale, sign or order are wrong."""
    raw = values / unit
    whole = np.rint(raw)
    assert np.abs(raw - whole).max(initial=0.0) < 0.02, raw[np.abs(raw - whole).max(axis=1).argmax()]
    out: I64 = (whole @ np.array([1, 1000, 1_000_000])).astype(np.int64)
    return out


async def live(kind: str, seed: int, events: int) -> Life:
    chance = random.Random(f"{kind} {seed}")
    make_of, drive = KINDS[kind]
    loop = asyncio.get_running_loop()
    off = chance.uniform(-0.01, 0.01) if make_of in (makes.WitMotion, makes.MetaMotionS, makes.Movesense) else 0.0
    make = make_of(loop.time, off, chance.uniform(-50e-6, 50e-6))
    world = World(make, chance, chance.choice([0.015, 0.03, 0.05]))
    clock = warp.LoopClock(UTC0_NS)
    radio = Radio("", world.backends(), RadioLimits())
    session = Session(drive(), Who(ADDRESS, name=kind), radio, clock, limits=SessionLimits(), jitter=chance.random)
    reader = drive()
    can = reader.capabilities
    timebase = Timebase(TimebaseParams(), can.clock, can.seq_bits, can.rate_hz)
    t: list[I64] = []
    acc: list[F64] = []
    gyr: list[F64] = []
    states: list[str] = []
    refused: Counter[str] = Counter()
    payloads = 0

    async def sink(received: list[Received]) -> None:
        nonlocal payloads
        payloads += len(received)
        for r in received:
            items = reader.feed(r.uuid, r.payload, r.rx_mono_ns, r.rx_utc_ns)
            refused.update(i.reason for i in items if isinstance(i, Rejected))
            take(timebase.update([i for i in items if isinstance(i, ImuBatch)])[0])

    def take(timed: TimedBatch | None) -> None:
        if timed is not None:
            t.append(timed.t_utc_ns)
            acc.append(timed.acc_mps2)
            gyr.append(timed.gyr_rps)

    def on_link(state: str) -> None:
        states.append(state)
        if state in BROKEN:
            reader.reset()

    air = asyncio.create_task(world.radio())
    task = asyncio.create_task(session.run(sink, on_link))
    faults: list[str] = []
    try:
        for _ in range(events):
            await asyncio.sleep(chance.choice([0.3, 2.0, 8.0, 40.0]) * chance.uniform(0.5, 1.5))
            fault = chance.choice(FAULTS)
            if fault == "doubles" and not make.tells_twice:
                continue
            faults.append(fault)
            await befall(world, fault, chance)
        world.refuse_connecting = world.refuse_subscribing = world.refuse_writing = 0
        await asyncio.sleep(LONGEST_WAY_BACK_S)
        assert session.stats.state == "streaming", (kind, seed, faults, session.stats)
    finally:
        air.cancel()
        task.cancel()
        await asyncio.gather(air, return_exceptions=True)
        (error,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(error, asyncio.CancelledError), error
    take(timebase.finish()[0])
    assert payloads == session.stats.payloads
    assert world.ended == []
    t_ns, a, g = np.concatenate(t), np.concatenate(acc), np.concatenate(gyr)
    numbers = read_numbers(a, make.acc)
    truth = np.array(make.truth)
    return Life(
        kind, seed, numbers, read_numbers(g, make.gyr), t_ns, UTC0_NS + np.rint(truth[numbers] * 1e9).astype(np.int64),
        world.arrived, refused, states, faults, can.rate_hz, make.dated,
    )  # fmt: skip


async def befall(world: World, fault: str, chance: random.Random) -> None:
    long_s = chance.choice([0.3, 1.5, 3.0, 7.0, 30.0]) * chance.uniform(0.5, 1.5)
    match fault:
        case "hang_up":
            world.break_link()
        case "away":
            world.in_range = False
            world.break_link()
            await asyncio.sleep(long_s * 2)
            world.in_range = True
        case "fade":
            world.faded = True
            await asyncio.sleep(min(long_s, 5.0))
            if long_s > 5.0:
                world.break_link()  # the supervision timeout
            world.faded = False
        case "stall":
            world.stalled = True
            await asyncio.sleep(long_s)
            world.stalled = False
        case "reboot":
            world.break_link()
            # Off and on just after it was switched on, it looks like a sensor that had kept samples (docs/devices.md).
            if world.make.now() - world.make.boot_s > UPTIME_S / 2:
                world.make.switch_on()
        case "deaf":
            world.refuse_connecting = chance.randrange(1, 4)
            world.break_link()
        case "mute":
            world.refuse_subscribing = chance.randrange(1, 4)
            world.break_link()
        case "unwilling":
            world.refuse_writing = chance.randrange(1, 4)
            world.break_link()
        case "late":
            world.break_link()
            await asyncio.sleep(long_s)
            world.late()
        case "doubles":
            world.doubles = True
            await asyncio.sleep(min(long_s, 5.0))
            world.doubles = False
        case "burst":
            for _ in range(3):
                world.break_link()
                await asyncio.sleep(chance.uniform(0.0, 2.0))


def summary(life: Life) -> str:
    """What a life came to, in a line."""
    e = life.error_s
    return (
        f"{len(e):6} samples, {len(life.left_out):4} of those that arrived left out, dates off by {e.min():+.3f} to "
        f"{e.max():+.3f} s, 99 of 100 within {np.quantile(np.abs(e), 0.99):.3f}; {sum(life.refused.values())} refused"
    )


def check(life: Life) -> None:
    """Raises AssertionError, naming the faults, where something was doubled, lost, mixed up or dated wrongly."""
    what = (life.kind, life.seed, life.faults)
    e, off_s = life.error_s, DATES_OFF_S[life.kind]
    assert np.all(np.diff(life.t_ns) > 0), what
    assert np.all(np.diff(life.numbers) > 0), what  # none twice, none out of its order
    assert np.quantile(np.abs(e), 0.99) < off_s[0], (*what, np.quantile(np.abs(e), 0.99))
    assert np.abs(e).max() < off_s[1], (*what, np.abs(e).max())
    # Both quantities of a sample are its own; a MetaMotion's streams are paired to within two samples (docs/devices.md).
    apart = np.abs(life.numbers - life.numbers_gyr).max()
    assert apart <= (2 if life.kind == "metamotion" else 0), (*what, apart)
    # Within one run of samples the hole in time is as long as the hole in numbers: losses are counted right.
    if life.dated:
        run = np.diff(life.true_ns) < 2e9
        missing = np.diff(life.t_ns) / np.diff(life.true_ns).astype(float)
        assert np.abs(np.diff(life.t_ns) - np.diff(life.true_ns))[run].max() < 0.15e9, (*what, missing[run].max())
    assert len(life.left_out) <= LEFT_OUT.get(life.kind, 0) * (1 + life.states.count("starting")), (
        *what,
        life.left_out,
    )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--events", type=int, default=25)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    args = parser.parse_args(argv)
    logging.disable(logging.CRITICAL)
    for kind in args.kinds:
        for seed in range(args.first, args.first + args.seeds):
            life = warp.run(live(kind, seed, args.events))
            print(f"{kind:10} {seed:4} {summary(life)}", flush=True)
            check(life)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
