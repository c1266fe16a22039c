"""What people entered, out of the events of a store or of InfluxDB: the table `answers`, with the time since the prompt.

The same events give the same rows, wherever they were read and whatever span was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from processing.dictionary import ANSWER, ANSWER_TYPES
from processing.types import NS_PER_S
from sensor_gateway.export.deidentify import Veil
from sensor_gateway.sinks.records import PAGE, Cell, Records

LOOK_BACK_NS: Final = 2 * 86_400 * NS_PER_S
"""How long before an answer its prompt is looked for: one gives a prompt a word within hours."""
_TAKEN: Final = frozenset((*ANSWER_TYPES, "prompt"))
_OF_DATA: Final = {
    "flag_event_id": "flag_event_id",
    "prompt_event_id": "prompt_event_id",
    "answer": "answer",
    "exercise": "exercise",
    "side": "side",
    "sets": "sets",
    "reps": "reps",
    "pain_score": "score",
    "verdict": "verdict",
    "outcome": "outcome",
    "stop": "stop",
    "mode": "mode",
    "until_utc_ns": "until",
    "note": "note",
}
"""Columns that are keys of the event's data."""


def answers(records: Records, wearer: str, span: tuple[int, int], veil: Veil) -> Iterator[Mapping[str, Any]]:
    """Columns of the wearer's answers within ``span``, in order, by pages: ``sensor`` and the dictionary's, veiled."""
    shift_ns = veil.shift_ns(wearer)
    prompts: dict[str, int] = {}
    for page in records.columns("event", wearer, max(0, span[0] - LOOK_BACK_NS), span[1], page=PAGE):
        found = veil.columns(wearer, _only(page))
        rows = []
        for sensor, t, id_, type_, rule, text in zip(
            *(found[c] for c in ("sensor", "t_utc_ns", "event_id", "type", "rule", "data")), strict=True
        ):
            if type_ == "prompt":
                prompts[id_] = int(t)
            elif t - shift_ns >= span[0]:
                row = {"sensor": sensor, "t_utc_ns": int(t), "event_id": id_, "type": type_, "rule": rule}
                rows.append(row | _facts(int(t), json.loads(text), prompts))
        yield {name: [row[name] for row in rows] for name in ("sensor", *(f.name for f in ANSWER))}


def _only(page: Mapping[str, Sequence[Cell]]) -> dict[str, list[Cell]]:
    """The rows of a page of events that matter here: not the flags, whose data are long."""
    kept = [i for i, type_ in enumerate(page["type"]) if type_ in _TAKEN]
    return {name: [cells[i] for i in kept] for name, cells in page.items()}


def _facts(t_utc_ns: int, data: Mapping[str, Any], prompts: Mapping[str, int]) -> dict[str, Any]:
    prompt_ns = prompts.get(data.get("prompt_event_id") or "")
    if prompt_ns is not None and t_utc_ns - prompt_ns > LOOK_BACK_NS:  # whatever span happened to be read
        prompt_ns = None
    return {
        **{column: data.get(key) for column, key in _OF_DATA.items()},
        "person": data.get("rater") or data.get("editor"),
        "latency_s": None if prompt_ns is None else (t_utc_ns - prompt_ns) / NS_PER_S,
    }
