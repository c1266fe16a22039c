"""The data dictionary for people (Markdown) and machines (JSON), generated from `processing.dictionary`.

Run ``python -m sensor_gateway.export.dictionary_doc docs/data_dictionary.md`` after changing the dictionary; a test compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from processing.dictionary import EVENT_DATA, EVENT_TYPES, INFLUX, MEASUREMENT, STATES, TABLES, TAGS, Field
from processing.types import POSTURES

_ABOUT: Final = {
    "raw": "What the sensor measured, before any filter (`tiltline export --config FILE --kind raw`).",
    "samples": "One row per sample: orientation and angles.",
    "metrics": "One row a second.",
    "epochs": "One row a minute.",
    "events": "One row or line an event; in NDJSON `data` is an object, in CSV and Parquet its JSON text.",
    "answers": "What people entered, one row an event: answers to prompts, exercises, pain, verdicts and decisions.",
    "devices": "What a sensor says of itself.",
    "steps": "One row per step: when a foot took the weight.",
    "transfers": "One row per change of posture, such as standing up.",
    "absolute": "One row a second, beside metrics, where a therapist's offset was entered (`tiltline alignment offset`, "
    "`tiltline process --offset`).",
    "bouts": "One row per stretch of time spent in one posture.",
}
_HEAD: Final = "| name | type | unit | range | meaning | null means | since |"
_RULE: Final = "|---|---|---|---|---|---|---|"
_KIND: Final = {"metrics": "metric", "epochs": "epoch", "events": "event", "devices": "device"}


def dictionary_json(tables: Sequence[str] = tuple(TABLES), identity: Sequence[Field] = ()) -> str:
    """The dictionary of the named tables as JSON text; ``identity`` columns stand in front of each."""
    content = {
        "tables": {name: [_plain(f) for f in (*identity, *TABLES[name])] for name in tables},
        "postures": list(POSTURES),
        "event_types": EVENT_TYPES,
    }
    if "events" in tables:
        content["event_data"] = {name: [_plain(f) for f in fields] for name, fields in EVENT_DATA.items()}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def dictionary_markdown(tables: Sequence[str] = tuple(TABLES), identity: Sequence[Field] = ()) -> str:
    """The dictionary of the named tables as Markdown; ``identity`` columns stand in front of each."""
    lines = [
        "# Data dictionary",
        "",
        "Generated from `processing.dictionary` (`processing/dictionary/`); do not edit. Names are only ever added.",
        "Times are UTC nanoseconds, angles degrees. Missing is null (an empty cell in CSV), never zero. Measured with a clip-on",
        "sensor: not a diagnosis.",
        "",
    ]
    for name in tables:
        lines += [f"## {name}", "", _ABOUT[name] + _measurement(name), ""]
        lines += [_HEAD, _RULE, *(_row(f) for f in (*identity, *TABLES[name])), ""]
    if "events" in tables:
        lines += ["## Event types", "", "| type | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {meaning} |" for name, meaning in EVENT_TYPES.items()]
        lines += ["", "What lies in `data`, by type. A key that may be null may also be left out.", ""]
        for name, fields in EVENT_DATA.items():
            lines += [
                f"### Data of `{name}`",
                "",
                *([_HEAD, _RULE, *map(_row, fields)] if fields else ["Nothing."]),
                "",
            ]
    return "\n".join(lines)


def influx_markdown() -> str:
    """What InfluxDB holds, as Markdown."""
    lines = ["## InfluxDB", "", "| measurement | tags | what it holds |", "|---|---|---|"]
    for name, held in INFLUX.items():
        lines.append(f"| `{name}` | {', '.join(f'`{tag}`' for tag in held.tags)} | {held.about} |")
    lines += ["", "| tag | meaning |", "|---|---|", *(f"| `{tag}` | {meaning} |" for tag, meaning in TAGS.items()), ""]
    event = MEASUREMENT["event"]
    of_events = "Fields beside the tags; the facts stand in `data_json` too, and are here for queries."
    for name, about in ((event, of_events), *((name, INFLUX[name].about) for name in STATES)):
        lines += [f"### Fields of `{name}`", "", about, "", _HEAD, _RULE, *map(_row, INFLUX[name].fields), ""]
    return "\n".join(lines)


def _measurement(table: str) -> str:
    kind = _KIND.get(table)
    return f" InfluxDB measurement `{MEASUREMENT[kind]}`." if kind else ""


def _plain(f: Field) -> dict[str, Any]:
    return {**asdict(f), "range": f.range}


def _row(f: Field) -> str:
    values = "[event types](#event-types)" if f.words == tuple(EVENT_TYPES) else f.range
    return f"| `{f.name}` | {f.type} | {f.unit} | {values} | {f.meaning} | {f.null_means or 'never null'} | {f.since} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(f"{dictionary_markdown()}\n{influx_markdown()}", encoding="utf-8", newline="\n")
