"""What happened, why, and what it led to: a flag from a store or a processed recording with its chain, in words and as data.

`tiltline explain` prints it; the picture is drawn by `explain/svg.py`, the second reading is `explain/recompute.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final, Protocol

from processing.rules.explain import degrees
from processing.types import NS_PER_S, Event
from sensor_gateway.explain.recompute import Check, RecomputeError, recompute
from sensor_gateway.sinks.base import Owned

EXPLAINED: Final = ("flag", "hint")
_SOURCES: Final = {
    "therapist": "set by the therapist",
    "neutral": "the starting value above the neutral pose",
    "personal": "from the wearer's own last days",
    "personal_capped": "the highest value that own days may lead to",
}
_LED: Final = {
    "prompt": "A prompt was shown",
    "suppressed": "No prompt was shown",
    "answer": "The wearer answered",
    "exercise": "The wearer moved",
    "response": "Afterwards",
    "verdict": "The therapist looked at it",
}


class Events(Protocol):
    """Where events are: a `Store`, or the folder that `tiltline process` wrote."""

    @property
    def path(self) -> Path: ...
    def event(self, event_id: str) -> Owned | None: ...
    def events(self, wearer: str, t0_ns: int = ..., t1_ns: int = ...) -> Iterator[Event]: ...
    def linked(self, flag_id: str) -> list[Owned]: ...


class ProcessedEvents:
    """The events of a recording, from the folder that `tiltline process` wrote."""

    def __init__(self, folder: Path) -> None:
        """Raises `ExplainError` where that folder holds none."""
        self.path = folder / "events.ndjson"
        try:
            options = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["options"]
            self._whose: tuple[str, str] = (options["wearer"], options["sensor"])
            lines = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
            self._events = [Event(e["t_utc_ns"], e["event_id"], e["type"], e["rule"], e["data"]) for e in lines]
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ExplainError(f"{folder}: is no folder that 'tiltline process' wrote ({e}); check --folder") from None

    def event(self, event_id: str) -> Owned | None:
        """One event and whose it is."""
        found = next((e for e in self._events if e.event_id == event_id), None)
        return None if found is None else Owned(*self._whose, found)

    def events(self, wearer: str, t0_ns: int = 0, t1_ns: int = 2**63 - 1) -> Iterator[Event]:
        """Events of [t0, t1) in time order; the recording has one wearer."""
        assert wearer == self._whose[0]
        return (e for e in sorted(self._events, key=lambda e: e.t_utc_ns) if t0_ns <= e.t_utc_ns < t1_ns)

    def linked(self, flag_id: str) -> list[Owned]:
        """A flag and all that followed from it, in time order."""
        mine = (e for e in self._events if flag_id in (e.event_id, e.data.get("flag_event_id")))
        return [Owned(*self._whose, e) for e in sorted(mine, key=lambda e: (e.t_utc_ns, e.event_id))]


class ExplainError(Exception):
    """There is nothing to explain under this id; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Story:
    """A flag (or hint), whose it is, what followed in time order, and the outcome of working it through again."""

    wearer: str
    sensor: str
    flag: Event
    chain: tuple[Event, ...]
    checks: tuple[Check, ...]

    @property
    def agrees(self) -> bool:
        """Whether every statement of the record follows from its inputs."""
        return all(check.agrees for check in self.checks)


def find(store: Events, event_id: str) -> Story:
    """The story of a flag; the id of its prompt, suppression, answer or response leads there too.

    Raises `ExplainError` where there is no such flag, or its record cannot be worked through.
    """
    owned = store.event(event_id)
    if owned is None:
        raise ExplainError(f"{store.path}: no event {event_id!r}; the page, the dashboards and the export show the ids")
    event = owned.record
    if isinstance(event, Event) and event.type not in EXPLAINED:
        flag_id = event.data.get("flag_event_id")
        owned = store.event(flag_id) if isinstance(flag_id, str) else None
        if owned is None:
            raise ExplainError(f"event {event_id!r} is of type {event.type}; name a flag, or what a flag led to")
        event = owned.record
    if not isinstance(event, Event):
        raise ExplainError(f"{event_id!r} is no event; name a flag")
    linked = (found.record for found in store.linked(event.event_id))
    follows = (e for e in linked if isinstance(e, Event) and e.event_id != event.event_id)
    chain = tuple(sorted(follows, key=_in_order))
    try:
        checks = recompute(event)
    except RecomputeError as e:
        raise ExplainError(f"{event.type} {event.event_id}: {e}") from e
    return Story(owned.wearer, owned.sensor, event, chain, checks)


def in_words(story: Story, zone: tzinfo) -> list[str]:
    """Lines a person reads; times in ``zone``."""
    flag = story.flag
    data: Mapping[str, Any] = flag.data
    whose = f"wearer {story.wearer}, sensor {story.sensor}"
    lines = [
        f"{flag.type.capitalize()} {flag.event_id}: {flag.rule}, version {data['rule_version']}; {whose}.",
        "",
        f"What happened   {data['text']}",
        f"When            {_span(data['window'], zone)}",
    ]
    lines += _why(str(flag.rule), data)
    lines += ["", "What it led to"]
    if flag.type == "hint":
        lines.append("  Nothing for the wearer: it is a hint for the therapist.")
    elif not story.chain:
        lines.append("  Nothing yet: its prompt waits for a calm moment, or is not stored yet.")
    for event in story.chain:
        lines.append(f"  {_at(event.t_utc_ns, zone)}  {_LED.get(event.type, event.type)}: {event.data.get('text', '')}")
    lines += ["", *_verdict(story.checks)]
    lines.append("This is what was measured and decided. It is no diagnosis; ask your therapist what it means for you.")
    return lines


def as_json(story: Story, zone: tzinfo) -> dict[str, Any]:
    """The same for a machine, with the events in full."""
    return {
        "wearer": story.wearer,
        "sensor": story.sensor,
        "flag": asdict(story.flag),
        "chain": [asdict(event) for event in story.chain],
        "agrees": story.agrees,
        "checks": [{**asdict(check), "agrees": check.agrees} for check in story.checks],
        "words": in_words(story, zone),
    }


def _why(rule: str, data: Mapping[str, Any]) -> list[str]:
    quality = data["quality"]
    if rule == "asymmetry":
        own = f"Days with enough strides: {quality['days']}, the fewest strides on one: {quality['least_strides']}."
        return [
            f"Why             {data['value']} days over their limit; the rule asks for {data['limit']}.",
            f"Quality         {own}",
        ]
    if rule == "static_posture":
        value, limit = (_amount(data[key], data["unit"]) for key in ("value", "limit"))
        why = f"{data['posture']} for {value} without a sure moment of anything else; the limit is {limit}."
        counted = quality["counted_epochs"]
        lines = [f"Why             {why}"]
    else:
        found = data["thresholds"][data["posture"]]
        value, limit = (_amount(data[key], data["unit"]) for key in ("value", "limit"))
        why = f"{value} reached the limit of {limit}."
        tilt = f"In the last epoch {data['tilt_deg']:.1f}° in {data['posture']} against a limit of {data['threshold_deg']:.1f}°"
        lines = [f"Why             {why} {tilt} ({_SOURCES.get(found['source'], found['source'])})."]
        lines.append(f"Own baseline    {_baseline(found, data['baseline_version'])}")
        counted = quality["eligible_epochs"]
    lines.append(
        f"Quality         {counted} ten-second epochs counted; coverage at least "
        f"{quality['least_coverage_permille'] / 10:g} %, on average {quality['mean_coverage_permille'] / 10:g} %."
    )
    lines.append(f"Settings        study {data['study_version']!r}, hash {data['study_hash']}")
    return lines


def _baseline(found: Mapping[str, Any], version: str | None) -> str:
    if found["median_mdeg"] is None:
        return f"none yet for this posture ({found['days']} days)."
    return (
        f"usual tilt {degrees(found['median_mdeg'] / 1000)} from neutral, spread (MAD) {found['mad_mdeg'] / 1000:.1f}°, "
        f"{found['days']} days, version {version}."
    )


def _verdict(checks: Sequence[Check]) -> list[str]:
    wrong = [c for c in checks if not c.agrees]
    if not wrong:
        return [f"Worked through again from its own record: all {len(checks)} statements agree."]
    lines = [f"Worked through again from its own record: {len(wrong)} of {len(checks)} statements DISAGREE:"]
    return lines + [f"  {c.what}: the record says {c.stated}, its inputs give {c.recomputed}" for c in wrong]


def _in_order(event: Event) -> tuple[int, int]:
    """By time; at one instant in the order in which one leads to the other."""
    return event.t_utc_ns, list(_LED).index(event.type) if event.type in _LED else len(_LED)


def _span(window: Mapping[str, int], zone: tzinfo) -> str:
    start, end = window["start_utc_ns"], window["end_utc_ns"]
    return f"{_at(start, zone)} to {_at(end, zone)} ({_length(end - start)})"


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value / 60:g} min"
    return f"{value:.1f}".removesuffix(".0") + (" degree-minutes" if unit == "deg*min" else f" {unit}")


def _length(span_ns: int) -> str:
    minutes = span_ns / 60 / NS_PER_S
    return f"{minutes / 1440:.0f} days" if minutes >= 2880 else f"{minutes:.1f} min"


def _at(t_utc_ns: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(t_utc_ns // NS_PER_S, zone).strftime("%Y-%m-%d %H:%M:%S %Z")
