"""The table `answers`: what people entered as typed columns, the same out of the store and out of InfluxDB, plain, by day and veiled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from processing.dictionary import ANSWER, ANSWER_TYPES, EVENT_DATA, IDENTITY
from processing.types import NS_PER_S, Event, Json
from sensor_gateway import cli
from sensor_gateway.export.answers import LOOK_BACK_NS
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from tests.sensor_gateway.export.influx_copy import influxd_in, send

DAY_NS = 86_400 * NS_PER_S
T0 = 20_700 * DAY_NS + 85_000 * NS_PER_S  # an hour or so before midnight UTC, in 2026
FLAG, PROMPT, FLAG2, PROMPT2 = (f"{i:016x}" for i in (0xF1, 0xA1, 0xF2, 0xA2))
TOLD: tuple[tuple[float, str, str, str | None, dict[str, Json]], ...] = (
    (0, FLAG, "flag", "tilt_dose", {"text": "long"}),
    (1, PROMPT, "prompt", "tilt_dose", {"flag_event_id": FLAG, "exercise": "bridge"}),
    (91.5, "01", "answer", "tilt_dose", {"flag_event_id": FLAG, "prompt_event_id": PROMPT, "answer": "snooze"}),
    (
        3000,  # the next UTC day
        "02",
        "exercise",
        None,
        {"flag_event_id": FLAG, "prompt_event_id": PROMPT, "exercise": "bridge", "side": "left", "sets": 2, "reps": 8},
    ),
    (3100, "03", "pain", None, {"score": 0, "note": "after the stairs", "asks_health_questions": False}),
    (3200, "04", "verdict", None, {"flag_event_id": FLAG, "verdict": "useful", "rater": "pt-1", "note": None}),
    (3300, "05", "mode", None, {"mode": "tracking", "until": T0 + 9000 * NS_PER_S, "minutes": 95}),
    (3400, "06", "red_flag", None, {"outcome": "cleared", "answers": None, "stop": False, "editor": "pt-2"}),
    (3500, "07", "proposal", None, {"outcome": "declined", "editor": "pt-1", "proposal_event_id": "00"}),
    (3600, PROMPT2, "prompt", "tilt_dose", {"flag_event_id": FLAG2}),
    (3600 + LOOK_BACK_NS / NS_PER_S + 1, "08", "answer", "tilt_dose", {"prompt_event_id": PROMPT2, "answer": "done"}),
)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    with_records = Store.open(tmp_path / "store.db")
    with_records.write(
        Owned("w-001", "clip-1", Event(T0 + int(s * NS_PER_S), i, kind, rule, data)) for s, i, kind, rule, data in TOLD
    )
    with_records.close()
    return tmp_path / "store.db"


def export(*words: str | Path) -> None:
    assert cli.main(["export", "--kind", "answers", *(str(w) for w in words)]) == 0


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def said(row: dict[str, Any]) -> dict[str, Any]:
    """What a row says beside whose and what it is."""
    return {k: v for k, v in row.items() if v is not None and k not in ("wearer", "sensor", "t_utc_ns", "rule")}


def test_every_entry_is_a_row_with_its_own_columns(db: Path, tmp_path: Path) -> None:
    export("--store", db, "--out", tmp_path / "out")
    found = rows(tmp_path / "out" / "answers.parquet")
    assert list(found[0]) == [f.name for f in (*IDENTITY, *ANSWER)]
    to_prompt = {"flag_event_id": FLAG, "prompt_event_id": PROMPT}
    assert [said(row) for row in found] == [
        {"event_id": "01", "type": "answer", "answer": "snooze", "latency_s": 90.5, **to_prompt},
        {"event_id": "02", "type": "exercise", "exercise": "bridge", "side": "left", "sets": 2, "reps": 8, "latency_s": 2999.0}
        | to_prompt,
        {"event_id": "03", "type": "pain", "pain_score": 0, "note": "after the stairs"},
        {"event_id": "04", "type": "verdict", "flag_event_id": FLAG, "verdict": "useful", "person": "pt-1"},
        {"event_id": "05", "type": "mode", "mode": "tracking", "until_utc_ns": T0 + 9000 * NS_PER_S},
        {"event_id": "06", "type": "red_flag", "outcome": "cleared", "stop": False, "person": "pt-2"},
        {"event_id": "07", "type": "proposal", "outcome": "declined", "person": "pt-1"},
        {"event_id": "08", "type": "answer", "answer": "done", "prompt_event_id": PROMPT2},  # too long after its prompt
    ]  # fmt: skip
    schema = pq.read_schema(tmp_path / "out" / "answers.parquet")
    assert {str(schema.field(name).type) for name in ("sets", "reps", "pain_score", "until_utc_ns")} == {"int64"}
    assert str(schema.field("stop").type) == "bool"


def test_the_span_decides_which_rows_and_nothing_in_them(db: Path, tmp_path: Path) -> None:
    export("--store", db, "--out", tmp_path / "whole")
    export("--store", db, "--from", "2026-09-05T00:00:00", "--out", tmp_path / "later")
    export("--store", db, "--by-day", "--out", tmp_path / "days")
    whole = rows(tmp_path / "whole" / "answers.parquet")
    assert rows(tmp_path / "later" / "answers.parquet") == whole[1:]
    days = [row for path in sorted((tmp_path / "days").rglob("*.parquet")) for row in rows(path)]
    assert [{"wearer": "w-001"} | row for row in days] == whole
    assert len(list((tmp_path / "days").rglob("*.parquet"))) == 3


def test_moved_and_renamed_it_still_fits_the_events(db: Path, tmp_path: Path) -> None:
    words = ("--kind", "answers,events", "--shift-days", "-700", "--remap-ids")
    assert cli.main(["export", "--store", str(db), "--out", str(tmp_path / "out"), *words]) == 0
    answers, events = (pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("answers", "events"))
    flags, prompts = (set(events[events.type == kind].event_id) for kind in ("flag", "prompt"))
    assert set(answers.flag_event_id.dropna()) == flags
    assert set(answers.prompt_event_id.dropna()) == prompts
    assert set(answers.event_id) == set(events[events.type.isin(ANSWER_TYPES)].event_id)
    assert list(answers.latency_s.dropna()) == [90.5, 2999.0]
    assert answers.until_utc_ns.dropna().tolist() == [T0 + 9000 * NS_PER_S - 700 * DAY_NS]
    assert answers.note.isna().all()
    assert not {"pt-1", "pt-2"} & set(answers.person.dropna())
    assert answers.person.notna().sum() == 3


def test_its_columns_are_keys_that_events_have() -> None:
    renamed = {"pain_score": "score", "until_utc_ns": "until"}
    keys = {f.name for name in ANSWER_TYPES for f in EVENT_DATA[name]}
    own = {"t_utc_ns", "event_id", "type", "rule", "latency_s", "person"}
    assert {renamed.get(f.name, f.name) for f in ANSWER} - own <= keys
    words = {(f.name, word) for f in ANSWER if f.name not in own for word in f.words}
    known = {(f.name, word) for name in ANSWER_TYPES for f in EVENT_DATA[name] for word in f.words}
    assert words == {(name, word) for name, word in known if name in {column for column, _ in words}}


@pytest.mark.servers
def test_influxdb_gives_the_same_bytes(db: Path, tmp_path: Path) -> None:
    with influxd_in(tmp_path / "influx") as influxd:
        store = Store.open(db, readonly=True)
        send(influxd, store, "here")
        store.close()
        config = tmp_path / "gateway.toml"
        config.write_text(
            f'[site]\nid = "here"\ndata_dir = "."\n[influx]\nurl = "http://127.0.0.1:{influxd.port}"\ntoken_file = "token"\n'
        )
        (tmp_path / "token").write_text("none-needed")
        (tmp_path / "token").chmod(0o600)
        export("--config", config, "--out", tmp_path / "a")
        export("--config", config, "--influx", "--out", tmp_path / "b")
        assert (tmp_path / "a" / "answers.parquet").read_bytes() == (tmp_path / "b" / "answers.parquet").read_bytes()
        assert len(json.loads((tmp_path / "b" / "manifest.json").read_text())["outputs"]) == 3
