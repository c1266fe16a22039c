"""One query returns flag, prompt, answer, exercise, response and verdict of any flag; SQLite and a real InfluxDB agree."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from processing.coaching.coach import Coach
from processing.coaching.controls import LogExercise, Verdict
from processing.rules.study import study_hash
from processing.types import Event
from sensor_gateway.cli import main
from sensor_gateway.explain.chain import STEPS, chain, influxql
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.wire.line import line
from tests.integration.servers import Influxd, need
from tests.processing.rules_sim import K0, of_type, stretch
from tests.processing.test_rules_prompts import study


def lived_through() -> list[Event]:
    """Six bouts: some prompts answered and exercised, one refused, one flag kept quiet, verdicts a week later."""
    the_study = study(refractory_s=4800)
    coach = Coach("w-001", "clip-1", the_study, study_hash(the_study))
    events: list[Event] = []
    k = K0
    for n in range(6):
        events += coach.engine.update(stretch(k, 20, tilt_deg=8.0))
        k += 120
        prompts = of_type(events, "prompt")
        answered = {e.data["prompt_event_id"] for e in of_type(events, "answer")}
        if prompts and prompts[-1].event_id not in answered:
            word = "not_now" if n == 5 else "done"
            done = LogExercise("", "both", 1, 1, prompts[-1].event_id)
            events += coach.answer(k * 10**10, prompts[-1].event_id, word, done)
        events += coach.engine.update(stretch(k, 40, tilt_deg=1.0))
        k += 240
    events += coach.engine.finish()
    for flag in of_type(events, "flag"):
        events += coach.control(Verdict(flag.event_id, "useful", "pt-1"), (k + 60_480) * 10**10)
    return events


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return lived_through()


def stored(folder: Path, events: list[Event]) -> Path:
    path = folder / "store.db"
    store = Store.open(path)
    store.write(Owned("w-001", "clip-1", e) for e in events)
    store.close()
    return path


def expected(events: list[Event], flag: Event) -> dict[str, list[str]]:
    """Independent of the query: by hand over all events."""
    mine = [e for e in events if e.data.get("flag_event_id") == flag.event_id]
    return {step: [e.event_id for e in sorted(of_type(mine, step), key=lambda e: e.t_utc_ns)] for step in STEPS}


def ids(found: dict[str, object]) -> dict[str, list[str]]:
    return {step: [e["event_id"] for e in found[step]] for step in STEPS}  # type: ignore[attr-defined]


def test_the_scene_holds_every_step(events: list[Event]) -> None:
    types = {e.type for e in events}
    assert {"flag", "prompt", "suppressed", "answer", "exercise", "response", "verdict"} <= types


def test_one_query_gives_the_chain_of_any_flag_in_the_store(events: list[Event], tmp_path: Path, capsys) -> None:
    path = stored(tmp_path, events)
    store = Store.open(path, readonly=True)
    closed = 0
    for flag in of_type(events, "flag"):
        found = chain([o.record for o in store.linked(flag.event_id) if isinstance(o.record, Event)])
        assert found["flag_event_id"] == flag.event_id
        assert ids(found) == expected(events, flag)
        assert found["verdict"], "the verdict of a week later too"
        closed += found["closed"]
    assert closed >= 1
    assert store.linked("nowhere") == []
    store.close()
    flag = of_type(events, "flag")[0]
    assert main(["explain", flag.event_id, "--store", str(path), "--chain", "--json"]) == 0
    assert ids(json.loads(capsys.readouterr().out)) == expected(events, flag)
    assert main(["explain", flag.event_id, "--store", str(path), "--influxql"]) == 0
    assert capsys.readouterr().out.strip() == influxql(flag.event_id)
    assert main(["explain", flag.event_id, "--store", str(path), "--chain"]) == 0
    assert "exercise" in capsys.readouterr().out


@pytest.mark.parametrize("bad", ["a/b", "x'y", "", "a" * 65, "Ä"])
def test_what_is_no_id_never_reaches_the_query(bad: str) -> None:
    with pytest.raises(ValueError, match="no event id"):
        influxql(bad)


@pytest.mark.servers
def events_of(rows: Iterable[Mapping[str, Any]]) -> list[Event]:
    """Rows of the query (``time`` in nanoseconds) as events; no tag reads as None."""
    return [Event(r["time"], r["event_id"], r["type"], r["rule"] or None, json.loads(r["data_json"])) for r in rows]


def test_one_query_gives_the_same_chain_in_influxdb(events: list[Event], tmp_path: Path) -> None:
    need("influxd")
    influx = Influxd(tmp_path)
    influx.start()
    try:
        influx.create("tiltline")
        body = "\n".join(line("home", "w-001", "clip-1", e) for e in events).encode()
        url = f"http://127.0.0.1:{influx.port}/write?db=tiltline&precision=ns"
        with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=20) as answer:
            assert answer.status == 204
        for flag in of_type(events, "flag"):
            found = chain(events_of(influx.query(influxql(flag.event_id))))
            assert ids(found) == expected(events, flag)
            assert found["flag"]["data"] == flag.data
    finally:
        influx.kill9()
