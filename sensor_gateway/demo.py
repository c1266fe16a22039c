"""The demo: a simulated wearer's day through the real gateway, then live, on embedded defaults.

Everything but the wearer is the real thing: frames of the open profile, journal, pipeline, outbox, store, page, export.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import tomlkit

from processing.pipeline import CaptureNeutral
from processing.rules.gate import REASONS
from processing.rules.study import Study
from processing.types import NS_PER_S, Event
from sensor_gateway.clock import Clock
from sensor_gateway.config import ConfigError, Sensor, Settings, Site, Web
from sensor_gateway.drivers.synthetic import SyntheticSensor
from sensor_gateway.export.export import export_store
from sensor_gateway.export.registry import enter
from sensor_gateway.export.selection import Selection
from sensor_gateway.gateway import Gateway, Hooks
from sensor_gateway.sinks.store import Store

WEARER: Final = "w-001"
SENSOR: Final = "clip-1"
MARK: Final = "this-is-a-tiltline-demo"
"""A folder that holds this file is the demo's own and may be emptied."""
CONFIG: Final = "gateway.toml"
"""The settings it runs with, in its folder: for every command that wants ``--config``."""
NEUTRAL_AFTER_S: Final = 3.0
STORE_FOLLOWS_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """``seconds`` of live time (0: until stopped), ``hours`` of past, the page's port (another one if it is taken).

    ``simulated``: further options of the simulated sensor (`SyntheticOptions`), e.g. ``{"start": "2026-03-02T08:00:00Z"}``.
    """

    folder: Path
    seconds: float = 0.0
    hours: float = 8.0
    port: int = 8080
    seed: int = 1
    timezone: str = "UTC"
    simulated: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Findings:
    """What the day brought, for the summary."""

    metrics: int = 0
    minutes: int = 0
    posture_s: dict[str, int] = field(default_factory=dict)
    flags: list[Event] = field(default_factory=list)
    led_to: dict[str, Event] = field(default_factory=dict)  # flag id -> prompt or suppression
    exported: list[str] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)


def prepare_folder(folder: Path) -> None:
    """Make or empty the demo's folder; raises `ConfigError` where it holds anything else."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise ConfigError(f"{folder} is not empty and no demo folder; name another one with --dir")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def free_port(wanted: int) -> int:
    """The wanted port on loopback, or a free one where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            return int(s.getsockname()[1])
    raise ConfigError("no free port on this machine for the page")


class Demo:
    """One run. ``say`` prints a line for the person who watches."""

    def __init__(self, options: DemoOptions, clock: Clock, say: Callable[[str], None], hooks: Hooks) -> None:
        prepare_folder(options.folder)
        self.options, self.say = options, say
        port = free_port(options.port)
        if options.port not in (0, port):
            say(f"Port {options.port} is taken; the page uses {port} instead.")
        simulated = {"seed": options.seed, "hours": options.hours, **options.simulated}
        settings = Settings(
            site=Site("demo", "gw-demo", options.timezone, "."),
            sensors=(Sensor(SENSOR, WEARER, "synthetic", options=simulated),),
            web=Web(port=port),
        )
        (options.folder / CONFIG).write_text(_as_toml(settings), encoding="utf-8")
        self.url = f"http://127.0.0.1:{port}"
        self._caught_up = asyncio.Event()
        chained = Hooks(lambda sensor, share: self._progress(hooks, sensor, share), hooks.on_page)
        self.gateway = Gateway(settings, Study(timezone=options.timezone), options.folder, clock, chained)
        # Made now: a day without a past is reported on at once, maybe before the sink has opened its store.
        Store.open(self.gateway.store_path).close()
        transport = self.gateway.transports[SENSOR]
        if not isinstance(transport, SyntheticSensor):
            raise ConfigError("the entry point 'synthetic' of tiltline.drivers is not the simulated sensor; reinstall")
        at_ns = transport.began_utc_ns + round(NEUTRAL_AFTER_S * NS_PER_S)
        self.gateway.runners[SENSOR].note(CaptureNeutral(5.0), at_ns)

    def _progress(self, hooks: Hooks, sensor: str, share: float) -> None:
        if hooks.on_progress is not None:
            hooks.on_progress(sensor, share)
        if share >= 1.0:
            self._caught_up.set()

    async def run(self, stop: asyncio.Event) -> Findings:
        """Live through the day, report, go on live until ``stop`` or the time is up, report again."""
        running = asyncio.create_task(self.gateway.run(stop), name="gateway")
        try:
            await _first(running, self._caught_up.wait(), stop.wait())
            if self._caught_up.is_set() and not stop.is_set():
                await self._live(running, stop)
        finally:
            stop.set()
            await running
        findings = await asyncio.to_thread(self._collect)
        findings.counters = self.gateway.final
        return findings

    async def _live(self, running: asyncio.Task[int], stop: asyncio.Event) -> None:
        # The day is in when the line has computed what came and the store has what the line found.
        await _first(running, self.gateway.runners[SENSOR].caught_up(), stop.wait())
        await self.gateway.delivered(stop, ("store",), STORE_FOLLOWS_S)
        findings = await asyncio.to_thread(self._collect)
        for line in describe(findings):
            self.say(line)
        self.say(f"Exported: {', '.join(findings.exported)}")
        self.say(f"Live now at 100 Hz: open {self.url}" + ("" if self.options.seconds else "   (Ctrl-C ends the demo)"))
        if self.options.seconds > 0:
            await _first(running, asyncio.sleep(self.options.seconds), stop.wait())
        else:
            await _first(running, stop.wait())

    def _collect(self) -> Findings:
        store = Store.open(self.gateway.store_path, readonly=True)
        try:
            found = Findings(metrics=store.count("metric", WEARER))
            seconds: Counter[str] = Counter()
            for epoch in store.epochs(WEARER):
                found.minutes += 1
                seconds.update({p: getattr(epoch, f"{p}_s") for p in ("lying", "sitting", "standing", "walking")})
            found.posture_s = dict(seconds)
            for event in store.events(WEARER):
                if event.type == "flag":
                    found.flags.append(event)
                elif event.type in ("prompt", "suppressed"):
                    found.led_to[str(event.data.get("flag_event_id"))] = event
            if not found.metrics:
                return found  # stopped before the first second was judged
            folder = self.options.folder / "export"
            enter(self.options.folder, folder, (WEARER,))
            manifest = export_store(store, Selection((WEARER,)), folder)
            found.exported = [str(folder / name) for name in sorted(manifest["outputs"])]
            return found
        finally:
            store.close()


def describe(found: Findings) -> list[str]:
    """The day in a few lines: postures, flags, and why the first flag was raised."""
    spent = ", ".join(f"{name} {s // 60} min" for name, s in found.posture_s.items() if s >= 60)
    prompts = sum(e.type == "prompt" for e in found.led_to.values())
    quiet = Counter(str(e.data.get("reason")) for e in found.led_to.values() if e.type == "suppressed")
    lines = [
        f"The day so far: {found.minutes} minutes; {spent}",
        f"Flags: {len(found.flags)}; prompts: {prompts}; kept quiet: {quiet.total()}",
        *(f"  {n} kept quiet: {REASONS.get(reason, reason)}" for reason, n in quiet.most_common()),
    ]
    prompted = [f for f in found.flags if f.event_id in found.led_to and found.led_to[f.event_id].type == "prompt"]
    for flag in (prompted or found.flags)[:1]:
        lines.append(f"One of them explained ({flag.rule}, {flag.event_id}): {flag.data.get('text')}")
        after = found.led_to.get(flag.event_id)
        if after is not None:
            lines.append(f"It led to a {'prompt' if after.type == 'prompt' else 'silence'}: {after.data.get('text')}")
    return lines


def _as_toml(settings: Settings) -> str:
    """What differs from the defaults, as the file that `load_settings` reads."""
    (sensor,) = settings.sensors
    block = {"id": sensor.id, "wearer": sensor.wearer, "driver": sensor.driver, "options": sensor.options}
    return tomlkit.dumps({"site": asdict(settings.site), "sensors": [block], "web": {"port": settings.web.port}})


async def _first(running: asyncio.Task[int], *waits: Coroutine[object, object, object]) -> None:
    """Wait until the gateway ends or one of ``waits`` does; the other waits are cancelled."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait([running, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
