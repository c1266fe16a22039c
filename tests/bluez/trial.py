"""The trial of bar 3: the gateway's own command against a true BlueZ, through every fault that a day may bring.

Runs as root inside the virtual machine of `scripts/bluez_vm.sh` (`python -m tests.bluez.trial --out FILE`). A fault counts
as recovered when a notification that was sent after it stands in the journal, for every sensor it touched. Times run from
where recovery becomes possible: the hang-up, the return, the last notification, the replugging, the kill.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from tests.bluez.gateway import GatewayProcess
from tests.bluez.ledger import Journaled, Sent, Tally, tally
from tests.bluez.report import BAR_S, table
from tests.bluez.world import Watched, World

GIVE_UP_S = 120.0
CALM_S = 15.0
GOOD_S = 31.0  # as long must data have come for the gateway's pauses to begin small again
POLL_S = 0.1
DISCONNECTS = 20


@dataclass
class Trial:
    """``times_s``: fault to recovery times. ``down``: per sensor, when it could not be heard."""

    world: World
    gateway: GatewayProcess
    times_s: dict[str, list[float]] = field(default_factory=dict)
    down: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    bus: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)

    async def recover(
        self, fault: str, sensors: dict[str, Watched], began_s: float, from_s: float, *, anew: bool = True
    ) -> None:
        """Wait until each of ``sensors`` is heard again, and note how long it took from ``from_s``.

        ``anew``: only what came over a connection made since ``began_s`` counts.
        """
        missing = set(sensors)
        looked = {name: len(self.gateway.journaled[name]) for name in sensors}
        while missing and time.monotonic() - from_s < GIVE_UP_S:
            await asyncio.sleep(POLL_S)
            self.gateway.read()
            for watched in sensors.values():
                watched.check()
            for name in list(missing):
                fresh, looked[name] = self.gateway.journaled[name][looked[name] :], len(self.gateway.journaled[name])
                since_s = max(from_s, sensors[name].connected_s) if anew else from_s
                if anew and sensors[name].connected_s < began_s:
                    continue
                if any(sent_after(sensors[name].sent, since_s, j) for j in fresh):
                    missing.remove(name)
                    self.down.setdefault(name, []).append((began_s, time.monotonic()))
        for name in missing:
            self.down.setdefault(name, []).append((began_s, time.monotonic()))
        taken_s = round(time.monotonic() - from_s, 2)
        self.times_s.setdefault(fault, []).append(taken_s)
        say(f"{fault}: " + (f"{', '.join(missing)} NOT recovered" if missing else f"recovered in {taken_s:.2f} s"))

    async def count(self, when: str) -> None:
        """Note what the gateway's process holds."""
        self.bus[when] = await self.gateway.bus_connections()
        self.files[when] = self.gateway.open_files()


async def start(t: Trial) -> None:
    began = time.monotonic()
    await t.gateway.start()
    await t.recover("start", t.world.watched, began, began)
    await asyncio.sleep(CALM_S)
    await t.count("streaming")


async def disconnects(t: Trial) -> None:
    one = {"clip": t.world.watched["clip"]}
    for _ in range(DISCONNECTS):
        began = time.monotonic()
        await t.world.clip.hang_up()
        await t.recover("the sensor hangs up", one, began, time.monotonic())
        await asyncio.sleep(2)
    await asyncio.sleep(1)
    await t.count(f"after {DISCONNECTS} disconnects")


async def out_of_range(t: Trial) -> None:
    began = time.monotonic()
    t.world.clip.leave()
    await asyncio.sleep(6)
    t.world.clip.come_back()
    await t.recover("back in range after 6 s", {"clip": t.world.watched["clip"]}, began, time.monotonic())
    await asyncio.sleep(3)


async def stalls(t: Trial) -> None:
    one = {"clip": t.world.watched["clip"]}
    await asyncio.sleep(GOOD_S)
    t.world.clip.start_cures_stall = True
    began = time.monotonic()
    t.world.clip.stalled = True
    await t.recover("stall that a new start ends", one, began, began, anew=False)
    t.world.clip.start_cures_stall = False
    await asyncio.sleep(3)
    t.world.clip.stalls_until_disconnect = True
    began = time.monotonic()
    t.world.clip.stalled = True
    await t.recover("stall that a new connection ends", one, began, began)
    await asyncio.sleep(3)


async def adapter(t: Trial) -> None:
    began = time.monotonic()
    await t.world.unplug()
    await asyncio.sleep(5)
    await t.world.plug_in()
    await t.recover("adapter replugged after 5 s", t.world.watched, began, time.monotonic())
    await asyncio.sleep(3)
    await t.count("after the adapter's return")


async def daemon(t: Trial) -> None:
    pid = int(await command("systemctl", "show", "--property=MainPID", "--value", "bluetooth.service"))
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    await t.recover("bluetoothd killed", t.world.watched, began, began)
    await asyncio.sleep(3)
    await t.count("after bluetoothd's return")


async def gateway(t: Trial) -> None:
    began = time.monotonic()
    await t.gateway.end(signal.SIGKILL)
    await t.gateway.start()
    await t.recover("gateway killed and started again", t.world.watched, began, began)
    await asyncio.sleep(CALM_S)
    await t.count("after the gateway's return")


STEPS: tuple[Callable[[Trial], Awaitable[None]], ...] = (
    start, disconnects, out_of_range, stalls, adapter, daemon, gateway,
)  # fmt: skip


def sent_after(sent: list[Sent], from_s: float, journaled: Journaled) -> bool:
    """Whether this entry of the journal was sent after ``from_s``."""
    new = takewhile(lambda s: s.t_s > from_s, reversed(sent))
    return journaled.t_s > from_s and any(s.payload == journaled.payload for s in new)


def say(text: str) -> None:
    print(f"[{time.monotonic():7.2f}] {text}", flush=True)


async def command(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    out, _ = await asyncio.wait_for(process.communicate(), 15)
    return out.decode().strip()


async def run(out: Path, steps: tuple[Callable[[Trial], Awaitable[None]], ...]) -> None:
    """All steps in order, then the books. A step that fails ends the trial; what was measured is still written."""
    world = World()
    await world.power_on()
    say("sensors are on the air")
    sensors = {
        "clip": ("open", world.clip.address, 100.0),
        "module": ("witmotion", world.watched["module"].sensor.address, 100.0),
        "dot": ("dot", world.watched["dot"].sensor.address, 60.0),
    }
    with tempfile.TemporaryDirectory() as folder:
        t = Trial(world, GatewayProcess(Path(folder), sensors))
        for step in steps:
            await step(t)
        stopped = time.monotonic()
        status = await asyncio.wait_for(t.gateway.end(signal.SIGTERM), 60)
        await asyncio.sleep(0.5)
        t.gateway.read()
        log = (Path(folder) / "gateway.log").read_text(encoding="utf-8", errors="replace")
    result = judge(t, stopped, status, await system())
    await asyncio.to_thread(write, out, result, log)
    print(table(result), flush=True)


async def system() -> dict[str, str]:
    """What the trial ran on."""
    words = (await command("cat", "/proc/cmdline")).split()
    return {
        "debian": await command("cat", "/etc/debian_version"),
        "kernel": await command("uname", "-r"),
        "bluez": (await command("bluetoothctl", "--version")).split()[-1],
        "accelerator": next(w.partition("=")[2] for w in words if w.startswith("tiltline.accelerator=")),
    }


def judge(t: Trial, stopped_s: float, status: int, system: dict[str, str]) -> dict[str, Any]:
    """Everything measured, and whether each bar is met. What was sent after the gateway's end asks for nothing."""
    books: dict[str, Tally] = {}
    for name, watched in t.world.watched.items():
        books[name] = tally(watched.sent, t.gateway.journaled[name], [*t.down[name], (stopped_s, math.inf)])
    strays = {}
    for name, watched in t.world.watched.items():
        payloads = {s.payload for s in watched.sent}
        strays[name] = [j.payload.hex() for j in t.gateway.journaled[name] if j.payload not in payloads][:5]
    left = [name for name, w in t.world.watched.items() if w.sensor.is_connected]
    passed = (
        all(s <= BAR_S for times in t.times_s.values() for s in times)
        and all(book.exact for book in books.values())
        and len(set(t.bus.values())) == 1
        and status == 0
        and not left
        and t.world.stranger.connections == 0
    )
    return {
        "system": system,
        "bar_s": BAR_S,
        "recovery_s": t.times_s,
        "notifications": {name: asdict(book) | {"exact": book.exact} for name, book in books.items()},
        "never_sent_examples": strays,
        "bus_connections": t.bus,
        "open_files": t.files,
        "exit_status": status,
        "left_connected": left,
        "strangers_connections": t.world.stranger.connections,
        "passed": passed,
    }


def write(out: Path, result: dict[str, Any], log: str) -> None:
    """The result as JSON, the gateway's own log beside it."""
    out.with_name("gateway.log").write_text(log, encoding="utf-8")
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where the result goes, as JSON")
    parser.add_argument("--steps", default="", help="only these, after 'start', e.g. disconnects,daemon")
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    chosen = set(args.steps.split(",")) if args.steps else None
    asyncio.run(run(args.out, tuple(s for s in STEPS if chosen is None or s is start or s.__name__ in chosen)))


if __name__ == "__main__":
    main()
