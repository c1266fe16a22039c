"""The data dictionary is whole: every column tells its name, type, unit, range, meaning, and since when it is there."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, get_args

import pytest

from processing.alignment.capture import SetupStep
from processing.clock.notes import NoteKind
from processing.coaching import controls
from processing.context.transfers import Transfer
from processing.dictionary import EVENT_DATA, IDENTITY, INFLUX, MAX_T_UTC_NS, TABLES, Field, words
from processing.features import gait
from processing.rules import gate
from processing.rules.study import Side
from processing.wearing import EVENT_OF
from sensor_gateway.export.dictionary_doc import dictionary_markdown, influx_markdown
from sensor_gateway.radio.states import LinkState

GROUPS: dict[str, tuple[Field, ...]] = {
    "identity": IDENTITY,
    **TABLES,
    **{f"data of {name}": fields for name, fields in EVENT_DATA.items()},
    **{f"measurement {name}": held.fields for name, held in INFLUX.items()},
}


@pytest.mark.parametrize("group", GROUPS)
def test_every_column_says_all_that_a_reader_needs(group: str) -> None:
    fields = GROUPS[group]
    assert [name for name, n in Counter(f.name for f in fields).items() if n > 1] == []
    for f in fields:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", f.name), f.name
        assert f.type in {"int64", "float64", "string", "bool", "json"}, f.name
        assert f.unit.strip(), f.name
        assert f.range.strip(), f.name
        assert f.meaning.endswith("."), f.name
        assert re.fullmatch(r"\d+\.\d+\.\d+", f.since), f.name
        if f.low is not None and f.high is not None:
            assert f.low < f.high, f.name
        if f.name.endswith("utc_ns") and f.type == "int64":
            assert (f.low, f.high) == (0, MAX_T_UTC_NS), f.name
        for ending, unit in (("_deg", "deg"), ("_s", "s"), ("_hz", "Hz"), ("_mps2", "m/s^2"), ("_utc_ns", "ns")):
            assert f.unit == unit or f.type == "json" or not f.name.endswith(ending), f.name


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"type": "float64"}, "x: a number has an end"),
        ({"type": "int64", "low": 0, "unbounded": True}, "x: a number has an end"),
        ({"type": "string", "high": 3}, "x: only a number has an end"),
        ({"type": "json", "unbounded": True}, "x: only a number has an end"),
        ({"type": "int64", "low": 0, "words": ("a",)}, "x: words belong to a string"),
    ],
)
def test_a_column_without_a_range_cannot_be_made(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Field(name="x", unit="1", meaning="A number.", **wrong)


def test_words_are_those_of_the_code() -> None:
    assert get_args(LinkState) == words.LINKS
    assert words.FEET == gait.SIDES
    assert get_args(Side) == words.SIDES
    assert (words.ANSWERS, words.VERDICTS, words.MODES) == (gate.ANSWERS, controls.VERDICTS, controls.MODES)
    assert get_args(NoteKind) == words.CLOCK
    assert get_args(SetupStep) == words.SETUP
    assert tuple(EVENT_OF) == words.MOUNTS
    assert all(kind in (Transfer.__doc__ or "") for kind in words.TRANSFERS)


def test_no_cell_of_the_written_dictionary_is_empty() -> None:
    rows = [line for line in f"{dictionary_markdown()}\n{influx_markdown()}".splitlines() if line.startswith("|")]
    assert len(rows) > 400
    assert [row for row in rows if any(not cell.strip() for cell in row.strip("|").split("|"))] == []
