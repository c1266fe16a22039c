"""What people enter, on its way to the pipelines of a wearer's sensors: which one tells it, and what a new one must know.

A wearer can have several sensors. Each pipeline hears every entry, since each has prompts of its own to hold back; one of
them says it as an event. A sensor that is new to a wearer gets what already holds for her: programme, mode, health stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Literal

import msgspec

from processing.coaching.controls import DecideProposal, Mode, Resume
from processing.pipeline import Answer, CaptureMovement, CaptureNeutral, Control, DeviceStatus
from processing.rules.study import Assignment, Side
from processing.types import Event
from sensor_gateway.sinks.store import Store


def addressed(control: Control, store: Store | None) -> Control:
    """An answer with the sensor and exercise of its prompt, a decision with its proposal, as the store has them."""
    if store is None or not isinstance(control, Answer | DecideProposal):
        return control
    owned = store.event(control.event_id)
    if owned is None or not isinstance(owned.record, Event):
        return control
    data: Mapping[str, Any] = owned.record.data
    if isinstance(control, Answer) and data.get("exercise"):
        side = msgspec.convert(data["side"], Side)
        sets, reps = int(data.get("sets") or 1), int(data.get("reps") or 1)
        return replace(control, sensor=owned.sensor, exercise=data["exercise"], side=side, sets=sets, reps=reps)
    if isinstance(control, DecideProposal) and data.get("outcome") == "open":
        direction = msgspec.convert(data["direction"], Literal["progression", "regression"])
        old, new = (msgspec.convert(data[key], Assignment) for key in ("from", "to"))
        return replace(control, direction=direction, old=old, new=new)
    return control


def told_by(control: Control, *, first: bool) -> Control:
    """The control for one of the wearer's sensors; only the ``first`` says it as an event."""
    if isinstance(control, Answer | CaptureNeutral | CaptureMovement | DeviceStatus | Resume):
        return control
    return replace(control, tell=first)


def resume(store: Store, wearer: str, today: date) -> Resume | None:
    """What holds for the wearer by her events; None where nobody has set anything."""
    programmes = store.newest(wearer, ("programme",))
    modes = store.newest(wearer, ("mode",))
    health = store.newest(wearer, ("red_flag",))
    if not (programmes or modes or health):
        return None
    mode: Mapping[str, Any] = modes[0].data if modes else {"mode": "training", "until": None}
    held = Resume(0, (), msgspec.convert(mode["mode"], Mode), mode["until"], _health(health))
    if not programmes:
        return held
    newest: Mapping[str, Any] = programmes[0].data
    version, entries, day = int(newest["version"]), _entries(newest["entries"]), str(newest["effective"])
    if day <= today.isoformat():
        return replace(held, version=version, entries=entries)
    before = newest["before"]
    return replace(
        held,
        version=int(before["version"]),
        entries=_entries(before["entries"]),
        pending_version=version,
        pending_entries=entries,
        pending_day=day,
    )


def _health(events: Sequence[Event]) -> Literal["", "asked", "stopped"]:
    if not events:
        return ""
    data = events[0].data
    return "stopped" if data.get("stop") else "asked" if data.get("outcome") == "asked" else ""


def _entries(raw: object) -> tuple[Assignment, ...]:
    return msgspec.convert(raw, tuple[Assignment, ...])
