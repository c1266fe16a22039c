"""`tiltline demo --cohort 12 --days 30`: weeks of a synthetic cohort in the embedded store, and in InfluxDB when configured.

So that every view shows something on the first day. It is a fast path and says so: behaviour models give postures and tilt in
ten-second steps, the real rules, coach, dose and notices decide everything that follows (`cohort/life.py`); sensor frames are
not simulated (the one-day demo does that). Seconds exist for the last day only, reports of the clip every ten minutes. The
same seed and the same end give the same records. Marked as synthetic: sensor names, firmware, the study's version on every flag,
and `cohort.json` beside the store.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from processing.coaching.controls import COACH_CONTROLS
from processing.pipeline import Answer
from processing.rules.base import EPOCH_S
from processing.rules.study import Study
from processing.types import NS_PER_S, Record
from sensor_gateway.clock import Clock
from sensor_gateway.cohort.life import Life, summary
from sensor_gateway.cohort.people import people
from sensor_gateway.commands.command import Command, CommandError
from sensor_gateway.config import ConfigError
from sensor_gateway.demo import prepare_folder
from sensor_gateway.entries import addressed
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.influx import InfluxWriter
from sensor_gateway.sinks.store import Store
from sensor_gateway.wire.line import Queued, line

SITE: Final = "demo"
VERSION: Final = "synthetic-cohort"
MANIFEST: Final = "cohort.json"
SECONDS_KEPT_H: Final = 24
MOST_WEARERS, MOST_DAYS = 200, 120
_LINES: Final = 5000


@dataclass(frozen=True, slots=True)
class CohortOptions:
    """``until`` is local time with its zone; the last minute that has passed by then is the cohort's newest."""

    folder: Path
    until: datetime
    wearers: int = 12
    days: int = 30
    seed: int = 1
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        for key, value, most in (("--cohort", self.wearers, MOST_WEARERS), ("--days", self.days, MOST_DAYS)):
            if not 1 <= value <= most:
                raise ConfigError(f"{key} is {value}; use 1 to {most}")

    @property
    def study(self) -> Study:
        return Study(version=VERSION, timezone=self.timezone)

    @property
    def store_path(self) -> Path:
        return self.folder / "store.db"


@dataclass(slots=True)
class Seeded:
    """What was made: lives by wearer (their coaches go on), and counts."""

    lives: dict[str, Life] = field(default_factory=dict)
    records: int = 0
    written: int = 0
    refused: list[str] = field(default_factory=list)
    wearers: dict[str, dict[str, Any]] = field(default_factory=dict)


def seed(options: CohortOptions, influx: InfluxWriter | None, progress: Callable[[float], None]) -> Seeded:
    """Fill the folder's store, and InfluxDB where a writer is given; raises `ConfigError`, `InfluxDownError`."""
    prepare_folder(options.folder)
    store, found = Store.open(options.store_path), Seeded()
    try:
        persons = people(options.wearers, options.seed)
        for i, person in enumerate(persons):
            life = Life(person, options.study, options.seed)
            for day in live(life, options):
                progress((i + 0.6 * day / options.days) / len(persons))
            found.records += store.write(Owned(person.id, life.sensor, record) for record in life.records)
            progress((i + 0.8) / len(persons))
            found.lives[person.id] = life
            found.wearers[person.id] = {"habits": asdict(person), **summary(life.records)}
            if influx is not None:
                _send(influx, person.id, life.sensor, life.records, found)
            life.records = []
            progress((i + 1) / len(persons))
    finally:
        store.close()
    _note(options, found)
    return found


def live(life: Life, options: CohortOptions) -> Iterator[int]:
    """Live through the days; gives how many are over."""
    zone = ZoneInfo(options.timezone)
    today = options.until.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    until_k = int(options.until.timestamp()) // 60 * 60 // EPOCH_S
    keep_ns = (int(options.until.timestamp()) - SECONDS_KEPT_H * 3600) * NS_PER_S
    for day in range(options.days):
        last = day == options.days - 1
        midnight = today - timedelta(days=options.days - 1 - day)
        life.live(midnight, day, until_k, seconds_from_ns=keep_ns, last=last)
        yield day + 1


def _send(writer: InfluxWriter, wearer: str, sensor: str, records: Sequence[Record], found: Seeded) -> None:
    rows = (Queued(i, line(SITE, wearer, sensor, record)) for i, record in enumerate(records))
    while some := list(islice(rows, _LINES)):
        outcome = writer.write(some)
        found.written += len(outcome.written)
        found.refused += [reason for _, reason in outcome.rejected]


def _note(options: CohortOptions, found: Seeded) -> None:
    about = {
        "synthetic": True,
        "what": "Behaviour models give postures and tilt in ten-second steps; rules, coach, dose and notices are the real ones. "
        "No sensor frames were simulated. Nobody is meant.",
        "seed": options.seed,
        "until": options.until.isoformat(),
        "timezone": options.timezone,
        "days": options.days,
        "study_version": VERSION,
        "seconds_kept_h": SECONDS_KEPT_H,
        "records": found.records,
        "wearers": found.wearers,
    }
    (options.folder / MANIFEST).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class CohortDesk:
    """Takes what is entered on the page after the seed: the same coaches go on, their events go where the seed went."""

    def __init__(self, options: CohortOptions, seeded: Seeded, clock: Clock, influx: InfluxWriter | None) -> None:
        self._options, self._lives, self._clock, self._influx = options, seeded.lives, clock, influx
        self._one_at_a_time = asyncio.Lock()

    async def on_command(self, wearer: str, command: Command) -> None:
        """As the gateway's: raises `CommandError` where it cannot be taken."""
        if not isinstance(command, (Answer, *COACH_CONTROLS)) or wearer not in self._lives:
            raise CommandError("This wearer is synthetic: there is no clip whose pose could be taken.")
        async with self._one_at_a_time:
            await asyncio.to_thread(self._take, wearer, command)

    def _take(self, wearer: str, command: Any) -> None:
        life = self._lives[wearer]
        store = Store.open(self._options.store_path)
        try:
            whole: Any = addressed(command, store)
            events = life.apply(whole, self._clock.utc_ns())
            store.write(Owned(wearer, life.sensor, event) for event in events)
        finally:
            store.close()
        if self._influx is not None:
            _send(self._influx, wearer, life.sensor, events, Seeded())


def describe(found: Seeded) -> list[str]:
    """The cohort in a few lines."""
    total: dict[str, int] = {}
    for about in found.wearers.values():
        for name, count in about["events"].items():
            total[name] = total.get(name, 0) + count
    names = ("flag", "prompt", "answer", "exercise", "response", "verdict", "pain", "mount")
    lines = [f"{len(found.wearers)} synthetic wearers, {found.records} records"]
    lines.append("Events: " + ", ".join(f"{name} {total.get(name, 0)}" for name in names))
    lines += [f"  {w}: {a['habits']['story']}" for w, a in found.wearers.items()]
    return lines
