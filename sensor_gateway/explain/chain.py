"""The closed loop of a flag by its id: flag, prompt or suppression, answer, exercise, response, verdict; on both stores.

All of them carry ``flag_event_id``, so one query finds them: `Store.linked` in SQLite, `influxql` in InfluxDB. `chain` turns
what either gave into one shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from processing.types import Event

STEPS: Final = ("prompt", "suppressed", "answer", "exercise", "response", "verdict")
_ID: Final = re.compile(r"[0-9a-z-]{1,64}")


def influxql(flag_id: str) -> str:
    """The one InfluxQL query; raises ValueError for what is no event id (it stands in a regular expression)."""
    if not _ID.fullmatch(flag_id):
        raise ValueError(f"{flag_id!r} is no event id; the page, the dashboards and the exports show them")
    return (
        'SELECT "event_id", "type", "rule", "wearer", "sensor", "data_json" FROM "event" '
        f'WHERE "event_id" = \'{flag_id}\' OR "data_json" =~ /"flag_event_id":"{flag_id}"/'
    )


def chain(events: Sequence[Event]) -> dict[str, Any]:
    """The flag and, step by step in time order, what followed; raises ValueError where there is no flag among them."""
    ordered = sorted(events, key=lambda e: (e.t_utc_ns, e.event_id))
    flag = next((e for e in ordered if e.type in ("flag", "hint")), None)
    if flag is None:
        raise ValueError("there is no flag of this id; name a flag")
    steps = {step: [asdict(e) for e in ordered if e.type == step] for step in STEPS}
    done = any(e.data.get("outcome") in ("changed", "no_measurable_change") for e in ordered if e.type == "response")
    return {
        "flag_event_id": flag.event_id,
        "flag": asdict(flag),
        **steps,
        "closed": bool(steps["prompt"] and steps["answer"] and steps["exercise"] and done),
    }


def in_words(found: Mapping[str, Any]) -> list[str]:
    """A line for each step."""
    flag = found["flag"]
    lines = [f"flag        {flag['event_id']}  {flag['data'].get('text', '')}"]
    for step in STEPS:
        lines += [f"{step:<11} {event['event_id']}  {event['data'].get('text', '')}" for event in found[step]]
        if not found[step] and step not in ("suppressed", "prompt"):
            lines.append(f"{step:<11} none")
    return lines
