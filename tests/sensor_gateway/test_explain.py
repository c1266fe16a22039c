"""`tiltline explain` on a real store: the words, the picture, the chain, and the second reading that finds a lie."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from processing.rules.asymmetry import StrideDay
from processing.rules.study import Study
from processing.types import Event
from sensor_gateway.cli import main
from sensor_gateway.explain.explain import find, in_words
from sensor_gateway.explain.recompute import RecomputeError, recompute
from sensor_gateway.explain.svg import draw
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from tests.processing.rules_sim import engine_of, of_type, stretch
from tests.processing.test_coaching import BANNED

START = 1_790_150_400 // 10  # 2026-09-23, 08:00 UTC
STUDY = Study(timezone="Europe/Berlin")
SVG = "{http://www.w3.org/2000/svg}"


def week() -> list[Event]:
    """Seven days with every rule, two answers and their responses."""
    engine, events = engine_of(STUDY), []
    for day in range(7):
        k = START + day * 8640
        for posture, minutes, tilt in (("walking", 20, 1.0), ("standing", 25, 3.0), ("sitting", 62, -15.0)):
            events += engine.update(stretch(k, minutes, posture, tilt))
            k += minutes * 6
        events += engine.update(stretch(k, 28, "standing", 9.0 + day / 10))
        if day in {1, 4}:
            prompt = of_type(events, "prompt")[-1]
            events += engine.answer((k + 168) * 10**10, prompt.event_id, "done")
        events += engine.update(stretch(k + 168, 45, "standing", 2.0))
        on = date(2026, 9, 23) + timedelta(days=day)
        events += engine.update_strides([StrideDay(on.isoformat(), 600, 9000, 9200 if day < 4 else 12_000, 500)])
    return events + engine.finish()


EVENTS = week()
EXPLAINED = of_type(EVENTS, "flag", "hint")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explain") / "store.sqlite"
    store = Store.open(path)
    store.write(Owned("w-001", "clip-1", event) for event in EVENTS)
    store.close()
    return path


def first(rule: str) -> Event:
    return next(e for e in EXPLAINED if e.rule == rule)


def plain(rule: str) -> Any:
    """The first such flag's data as the store gives it back."""
    return json.loads(json.dumps(first(rule).data))


def test_the_week_holds_every_rule_and_every_flag_stands_a_second_reading() -> None:
    assert {e.rule for e in EXPLAINED} == {"tilt_dose", "sustained_tilt", "static_posture", "asymmetry"}
    for event in EXPLAINED:
        stored = replace(event, data=json.loads(json.dumps(event.data)))
        assert [c for c in recompute(stored) if not c.agrees] == []
        drawn = ET.fromstring(draw(stored, UTC))
        assert drawn.tag == f"{SVG}svg"
        assert drawn.findtext(f"{SVG}title") == stored.data["text"]
        shown = [text.text for text in drawn.iter(f"{SVG}text")]
        bare = ET.fromstring(
            draw(stored, UTC, headed=False)
        )  # on the review page the sentence stands above the picture
        assert [text.text for text in bare.iter(f"{SVG}text")] == shown[:-2]
        assert bare.findtext(f"{SVG}title") == stored.data["text"]
        top = float(bare.attrib["viewBox"].split()[1])
        assert all(float(text.attrib["y"]) > top + 10 for text in bare.iter(f"{SVG}text")), "nothing is cut through"


def test_the_command_tells_the_whole_chain(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answered = of_type(EVENTS, "answer")[-1]
    flag_id = str(answered.data["flag_event_id"])
    svg = tmp_path / "flag.svg"
    assert main(["explain", flag_id, "--store", str(path), "--svg", str(svg), "--timezone", "Europe/Berlin"]) == 0
    said = capsys.readouterr().out
    parts = ["What happened", "Why", "What it led to", "A prompt was shown", "The wearer answered", "Afterwards"]
    at = [said.index(part) for part in [*parts, "statements agree", "no diagnosis; ask your therapist"]]
    assert at == sorted(at)
    assert "CEST" in said
    assert svg.read_text(encoding="utf-8").startswith("<svg")


def test_what_a_flag_led_to_leads_to_the_flag(path: Path) -> None:
    store = Store.open(path, readonly=True)
    for event in of_type(EVENTS, "prompt", "suppressed", "answer", "response"):
        assert find(store, event.event_id).flag.event_id == event.data["flag_event_id"]
    store.close()


def test_a_suppression_says_its_reason_and_a_hint_stays_with_the_therapist(path: Path) -> None:
    store = Store.open(path, readonly=True)
    quiet = of_type(EVENTS, "suppressed")[0]
    said = "\n".join(in_words(find(store, quiet.event_id), UTC))
    assert f"No prompt was shown: {quiet.data['text']}" in said
    hint = "\n".join(in_words(find(store, first("asymmetry").event_id), UTC))
    assert "Nothing for the wearer: it is a hint for the therapist." in hint
    for event in EXPLAINED:
        words = [w for w in in_words(find(store, event.event_id), ZoneInfo("Europe/Berlin")) if "no diagnosis" not in w]
        assert [w for w in words if BANNED.search(w)] == []
    store.close()


def test_json_holds_the_events_in_full(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flag = first("sustained_tilt")
    assert main(["explain", flag.event_id, "--store", str(path), "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert (got["wearer"], got["sensor"], got["agrees"]) == ("w-001", "clip-1", True)
    assert got["flag"]["data"] == json.loads(json.dumps(flag.data))
    assert {e["type"] for e in got["chain"]} >= {"suppressed"} or {e["type"] for e in got["chain"]} >= {"prompt"}
    assert all(c["agrees"] and c["stated"] == c["recomputed"] for c in got["checks"])


def lies() -> list[tuple[str, dict[str, object]]]:
    """One changed statement or input each: none may pass."""
    dose, sustained, static, hint = (
        plain(rule) for rule in ("tilt_dose", "sustained_tilt", "static_posture", "asymmetry")
    )
    tilts = sustained["epochs"]["tilt_mdeg"]
    calm = sustained["epochs"] | {"tilt_mdeg": [*tilts[:20], *([0] * 20), *tilts[40:]]}
    shorter = static["epochs"] | {"k": [[first_k, count - 1] for first_k, count in static["epochs"]["k"]]}
    days = [*hint["days"][:-1], [*hint["days"][-1][:2], 100, *hint["days"][-1][3:]]]
    return [
        ("tilt_dose", {"value": dose["value"] + 0.5}),
        ("tilt_dose", {"before": dose["before"] | {"dose_udeg_min": 70_000_000, "armed": False}}),
        ("sustained_tilt", {"threshold_deg": 4.0}),
        ("sustained_tilt", {"epochs": calm}),
        ("sustained_tilt", {"limits": sustained["limits"] | {"sustained_s": 700}}),
        ("sustained_tilt", {"study_hash": "0" * 16}),
        ("static_posture", {"value": 3600}),
        ("static_posture", {"posture": "standing"}),
        ("static_posture", {"epochs": shorter}),
        ("asymmetry", {"days": days}),
        ("asymmetry", {"value": 3}),
    ]


@pytest.mark.parametrize(("rule", "change"), lies())
def test_a_record_that_does_not_follow_from_its_inputs_is_found(
    rule: str, change: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flag = first(rule)
    store = Store.open(tmp_path / "s.sqlite")
    store.write([Owned("w-001", "clip-1", replace(flag, data={**flag.data, **change}))])
    store.close()
    assert main(["explain", flag.event_id, "--store", str(tmp_path / "s.sqlite")]) == 1
    said = capsys.readouterr()
    assert "DISAGREE" in said.out
    assert "disagrees with its own inputs" in said.err


@pytest.mark.parametrize(
    ("change", "says"),
    [({"rule_version": 9}, "version 9 is not known here"), ({"epochs": {}}, "lacks what it needs")],
)
def test_a_record_that_cannot_be_read_is_refused(change: dict[str, object], says: str) -> None:
    flag = first("tilt_dose")
    with pytest.raises(RecomputeError, match=says):
        recompute(replace(flag, data={**flag.data, **change}))


def test_one_sentence_for_what_cannot_be_explained(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flag_id = first("tilt_dose").event_id
    calls = [
        (["nothing", "--store", str(path)], "no event 'nothing'"),
        ([of_type(EVENTS, "baseline")[0].event_id, "--store", str(path)], "is of type baseline; name a flag"),
        ([flag_id, "--store", str(tmp_path / "absent.sqlite")], "no store there yet"),
        ([flag_id, "--store", str(path), "--timezone", "Mars/Base"], "--timezone is 'Mars/Base'"),
        ([flag_id, "--store", str(path), "--svg", str(tmp_path / "no" / "f.svg")], "cannot be written"),
    ]
    for words, says in calls:
        assert main(["explain", *words]) == 1
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1


def test_a_flag_of_a_processed_recording_is_explained_from_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    t = np.arange(0.0, 1500.0, 0.02)
    angle = np.radians(12.0) * np.clip((t - 60.0) / 2.0, 0.0, 1.0)
    columns = {"t_s": t, "ax": 9.80665 * np.cos(angle), "ay": 0 * t, "az": 9.80665 * np.sin(angle)}
    columns |= {"gx": 0 * t, "gy": np.gradient(angle, t), "gz": 0 * t}
    pd.DataFrame(columns).to_csv(tmp_path / "stand.csv", index=False)
    out = tmp_path / "out"
    study = tmp_path / "study.toml"
    study.write_text("[tilt]\nsustained_s = 300\nmin_confidence = 0.1\n", encoding="utf-8")
    words = [
        "process",
        tmp_path / "stand.csv",
        "--neutral",
        "5:10",
        "--mount",
        "up=+x,anterior=-z",
        "--study",
        study,
        "--out",
        out,
    ]
    assert main([*map(str, words)]) == 0
    events = [json.loads(line) for line in (out / "events.ndjson").read_text(encoding="utf-8").splitlines()]
    flag = next(e for e in events if e["type"] == "flag")
    capsys.readouterr()
    picture = tmp_path / "flag.svg"
    assert main(["explain", flag["event_id"], "--folder", str(out), "--svg", str(picture)]) == 0
    said = capsys.readouterr().out
    assert flag["data"]["text"] in said
    assert "statements agree" in said
    assert "<svg" in picture.read_text(encoding="utf-8")
    assert main(["explain", "0" * 16, "--folder", str(out)]) == 1
    assert "no event" in capsys.readouterr().err
    assert main(["explain", flag["event_id"], "--folder", str(tmp_path)]) == 1
    assert "tiltline process" in capsys.readouterr().err
