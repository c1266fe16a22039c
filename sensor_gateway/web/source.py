"""Where the page's numbers come from: the store (read-only) and, inside a gateway, the live hub.

Everything here may block on the disk and is called from worker threads; what it returns is shaped by `views.py`.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from processing.types import NS_PER_S, Event
from sensor_gateway.clock import Clock
from sensor_gateway.live import LiveHub
from sensor_gateway.report.minutes import RANGE_DAYS, OwnRange, day_bounds_ns, own_range
from sensor_gateway.sinks.store import Store, StoreError
from sensor_gateway.web import explain, trends, views
from sensor_gateway.web.shape import View, ms

DAY_NS: Final = 86_400 * NS_PER_S
RANGE_KEPT_NS: Final = 600 * NS_PER_S
RANGE_RETRY_NS: Final = 20 * NS_PER_S
DAYS_KEPT_NS: Final = 600 * NS_PER_S
ROWS_KEPT: Final = 2000
CHAIN_NS: Final = 3_600 * NS_PER_S
"""How long after a flag its prompt, suppression and answer are looked for."""


TOLD: Final = frozenset(
    {
        *("flag", "prompt", "suppressed", "answer", "alignment"),
        *("pain", "note", "exercise", "mode", "red_flag", "programme", "proposal"),
    }
)
"""Events that change what the page tells; a new one makes it load the day again."""


class NotFoundError(Exception):
    """What was asked for is not there; the text says what is. ``wearers``: who could be asked for, where that was it."""

    def __init__(self, text: str, wearers: list[str] | None = None) -> None:
        super().__init__(text)
        self.wearers = wearers


class Source:
    """Reads for one page server. The store may not exist yet: until it does, there is simply no data."""

    def __init__(self, path: Path, hub: LiveHub | None, clock: Clock, wearers: tuple[str, ...], expire_s: int) -> None:
        self.hub, self.clock = hub, clock
        self._path, self._configured, self._expire_s = path, wearers, expire_s
        self._store: Store | None = None
        self._lock = threading.Lock()
        self._answered: dict[str, str] = {}
        self._ranges: dict[str, tuple[int, OwnRange | None]] = {}
        self._rows: dict[tuple[str, str, date], tuple[int, View]] = {}

    def close(self) -> None:
        with self._lock:
            if self._store:
                self._store.close()
            self._store = None

    def wearers(self) -> list[str]:
        """Wearers of the configuration first, then any others the store knows."""
        store = self.store()
        return list(dict.fromkeys((*self._configured, *(store.wearers() if store else ()))))

    def wearer(self, asked: str | None) -> str:
        """The wearer asked for, or the only one; raises `NotFoundError` with a remedy."""
        known = self.wearers()
        if asked in known or (asked is None and len(known) == 1):
            return asked or known[0]
        if asked is not None:
            raise NotFoundError(
                f"There is no wearer {asked[:40]!r} here; known: {', '.join(known) or 'none yet'}.", known
            )
        if not known:
            raise NotFoundError(
                "There is no wearer yet; start the gateway with a sensor, then open this page again.", known
            )
        raise NotFoundError(
            f"Several people use this gateway; add ?wearer= and one of {', '.join(known)} to the address.", known
        )

    def now(self, wearer: str) -> View:
        """State of the moment, own range, and the prompt that waits for an answer."""
        now_ns, store = self.clock.utc_ns(), self.store()
        frame = self.hub.latest(wearer) if self.hub else None
        metric = store.latest_metric(wearer) if store else None
        devices = list(store.devices(wearer, now_ns - DAY_NS)) if store else []
        events = list(store.events(wearer, now_ns - self._expire_s * NS_PER_S)) if store else []
        view = views.now_view(now_ns, frame, metric, devices, live=self.hub is not None)
        answers = self._answered | explain.answers_of(events)
        entered = [e for kind in ("red_flag", "mode") for e in (store.newest(wearer, (kind,)) if store else ())]
        held = explain.held_back(entered, now_ns)
        prompt = None if held else explain.open_prompt(events, answers, now_ns, self._expire_s)
        range_ = self._range(wearer, now_ns, store)
        return {
            **view,
            "wearer": wearer,
            "range": range_ and asdict(range_),
            "prompt": prompt and explain.prompt_view(prompt),
            "newest_event": next((e.event_id for e in reversed(events) if e.type in TOLD), None),
        }

    def day(self, wearer: str, day: date | None, zone: ZoneInfo) -> View:
        """One local day; today where none is named."""
        now_ns, store = self.clock.utc_ns(), self.store()
        today = datetime.fromtimestamp(now_ns / NS_PER_S, UTC).astimezone(zone).date()
        day = day or today
        t0, t1 = day_bounds_ns(day, zone)
        epochs = list(store.epochs(wearer, t0, t1)) if store else []
        events = list(store.events(wearer, t0, t1 + CHAIN_NS)) if store else []
        answers = self._answered | explain.answers_of(events)
        flags = explain.flag_views(events, answers, now_ns, self._expire_s)
        # A day that is over keeps the range it ended with, as its report tells it.
        if store and day < today:
            range_ = own_range(store.minutes(wearer, t1 - RANGE_DAYS * DAY_NS, t1))
        else:
            range_ = self._range(wearer, now_ns, store)
        return {
            **views.day_view(epochs),
            "flags": [f for f in flags if f["t_ms"] < ms(t1)],
            "alignments": [views.alignment_view(e) for e in events if e.type == "alignment"],
            "entries": [v for e in events if e.t_utc_ns < t1 and (v := views.entry_view(e))],
            "wearer": wearer,
            "day": day.isoformat(),
            "is_today": day == today,
            "from_ms": ms(t0),
            "to_ms": ms(t1),
            "now_ms": ms(now_ns),
            "range": range_ and asdict(range_),
        }

    def trends(self, wearer: str, days: int, zone: ZoneInfo) -> View:
        """One row a local day up to today, oldest first, and the history of the wearer's baseline."""
        now_ns, store = self.clock.utc_ns(), self.store()
        today = datetime.fromtimestamp(now_ns / NS_PER_S, UTC).astimezone(zone).date()
        wanted = [today - timedelta(days=n) for n in reversed(range(days))]
        t0, t1 = day_bounds_ns(wanted[0], zone)[0], day_bounds_ns(today, zone)[1]
        frozen = store.newest(wearer, ("baseline",), days) if store else []
        range_ = self._range(wearer, now_ns, store)
        return {
            "wearer": wearer,
            "days": [self._row(store, wearer, day, zone, now_ns) for day in wanted],
            "baseline": trends.baselines([e for e in reversed(frozen) if t0 <= e.t_utc_ns < t1]),
            "range": range_ and asdict(range_),
            "today": today.isoformat(),
        }

    def _row(self, store: Store | None, wearer: str, day: date, zone: ZoneInfo, now_ns: int) -> View:
        """A day's row; days that are over change rarely and are read again only after ten minutes."""
        t0, t1 = day_bounds_ns(day, zone)
        kept = self._rows.get((wearer, zone.key, day))
        if kept is not None and t1 <= now_ns and now_ns - kept[0] < DAYS_KEPT_NS:
            return kept[1]
        minutes = store.minutes(wearer, t0, t1) if store else []
        row = trends.day_row(day, minutes, list(store.events(wearer, t0, t1)) if store else [])
        if len(self._rows) >= ROWS_KEPT:
            self._rows.clear()
        self._rows[wearer, zone.key, day] = (now_ns, row)
        return row

    def flag(self, event_id: str) -> View:
        """A flag with what followed from it, in time order; raises `NotFoundError`."""
        store = self.store()
        found = store.event(event_id) if store else None
        if store is None or found is None or not isinstance(found.record, Event):
            raise NotFoundError(f"There is no event {event_id[:40]!r}; it may belong to another gateway.")
        event = found.record
        later = store.events(found.wearer, event.t_utc_ns, event.t_utc_ns + CHAIN_NS)
        chain = [e for e in later if e.data.get("flag_event_id") == event_id]
        return {"wearer": found.wearer, **views.event_view(event), "followed_by": [views.event_view(e) for e in chain]}

    def answered(self, event_id: str, answer: str) -> None:
        """Remember an answer the gateway took until its event is stored, so that the prompt is not offered meanwhile."""
        self._answered[event_id] = answer

    def store(self) -> Store | None:
        """The store, opened when it first exists; None until then."""
        with self._lock:
            if self._store is None and self._path.is_file():
                try:
                    self._store = Store.open(self._path, readonly=True)
                except StoreError:
                    # The gateway may be creating it this very moment; a store that stays unusable shows as no data,
                    # and `tiltline doctor` and `tiltline web` (which opens it first) say why.
                    return None
            return self._store

    def _range(self, wearer: str, now_ns: int, store: Store | None) -> OwnRange | None:
        """Two weeks of minutes are read at most every ten minutes; sooner while there is no range yet."""
        if store is None:
            return None
        kept = self._ranges.get(wearer)
        if kept is None or now_ns - kept[0] >= (RANGE_KEPT_NS if kept[1] else RANGE_RETRY_NS):
            kept = (now_ns, own_range(store.minutes(wearer, now_ns - RANGE_DAYS * DAY_NS, now_ns)))
            self._ranges[wearer] = kept
        return kept[1]
