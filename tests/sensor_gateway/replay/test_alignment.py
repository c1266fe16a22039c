"""`tiltline replay --alignment`: other poses, fronts and times than the gateway had, as a named derivation beside the original."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processing.types import NS_PER_S
from sensor_gateway import cli
from sensor_gateway.sinks.store import Store
from tests.sensor_gateway.simulated_site import START_NS, make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("site"))


def run(site: Path, capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert cli.main(["replay", "--config", str(site / "gateway.toml"), *words]) == status
    return tuple(capsys.readouterr())  # type: ignore[return-value]


def stated(site: Path, *entries: str) -> list[str]:
    path = site / "stated.toml"
    path.write_text("\n".join(f'[[alignment]]\nsensor = "clip-1"\n{e}' for e in entries), encoding="utf-8")
    return ["--alignment", str(path)]


def in_force(store: Path) -> list[tuple[float, str, float]]:
    """Second of the recording, id and doubt of every alignment that came into force."""
    with closing(Store.open(store, readonly=True)) as s:
        events = [e for e in s.events("w-001") if e.type == "alignment" and e.data["outcome"] == "in force"]
    at = [round((e.t_utc_ns - START_NS) / 1e9, 3) for e in events]
    return [
        (t, str(e.data["alignment_id"]), float(str(e.data["uncertainty_deg"]))) for t, e in zip(at, events, strict=True)
    ]


def tilt(store: Path) -> dict[int, float]:
    with closing(Store.open(store, readonly=True)) as s:
        return {m.t_utc_ns: m.anterior_tilt_deg for m in s.metrics("w-001") if m.anterior_tilt_deg is not None}


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START_NS / 1e9 + seconds, UTC).isoformat()


def neutral_id(site: Path) -> str:
    return in_force(site / "data/store.db")[-1][1]


def test_the_template_changes_nothing_and_says_what_there_is(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, _ = run(site, capsys, "--alignment-template")
    assert text.count("\n[[alignment]]\n") == 2
    assert f'same_as = "{neutral_id(site)}"' in text
    (site / "template.toml").write_text(text, encoding="utf-8")
    words = ["--alignment", str(site / "template.toml"), "--check", "--json"]
    found = json.loads(run(site, capsys, *words)[0])
    assert found["clip-1"]["corrected"] == 2
    assert found["w-001 metric"]["equal"] > 1700
    assert found["derivation"] == {"name": "template", "store": None}
    assert not (site / "data/derived/template.db").exists()


def test_another_pose_is_a_named_derivation_with_the_angle_in_its_report(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = stated(site, f'replaces = "{neutral_id(site)}"\nneutral = [{at(4)}, {at(6)}]\nnote = "ready late"')
    out, err = run(site, capsys, *words, "--name", "late-pose", "--diff", str(site / "late.json"), "--json")
    assert "warning" not in err
    store = Path(json.loads(out)["derivation"]["store"])
    assert store == site / "data/derived/late-pose.db"
    report: dict[str, Any] = json.loads((site / "late.json").read_text(encoding="utf-8"))
    (change,) = report["alignment_changes"]
    assert (change["sensor"], change["stored"], change["from_utc_ns"]) == (
        "clip-1",
        neutral_id(site),
        START_NS + 8 * NS_PER_S,
    )
    assert 0.0 < change["zero_deg"] < 1.0  # a part of the same quiet pose
    old, new = tilt(site / "data/store.db"), tilt(store)
    moved = np.array([new[t] - old[t] for t in old if t > START_NS + 9 * NS_PER_S])
    assert np.median(moved) == pytest.approx(change["tilt_deg"], abs=0.02)
    d = report["derivation"]
    assert (d["name"], d["site"], d["mode"], d["versions"]) == (
        "late-pose",
        "home",
        "live",
        report["stored_by"][-1]["versions"],
    )
    assert d["alignments"][0]["how"] == {
        "replaces": neutral_id(site), "neutral": [at(4), at(6)], "note": "ready late",
    }  # fmt: skip
    # It stands in the list, beside others, and under its own name once.
    run(site, capsys, *stated(site, 'mount = "up=+x,anterior=+y"'), "--name", "other-front")
    listed = run(site, capsys, "--list")[0]
    assert [line.split(":")[0] for line in listed.splitlines()] == ["late-pose", "other-front"]
    assert "mode live" in listed
    assert listed.endswith(", 1 alignment\n")
    assert "exists" in run(site, capsys, *words, "--name", "late-pose", status=1)[1]


def test_front_zero_and_both_are_found_and_an_earlier_zero_is_used_again(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = stated(
        site,
        'mount = "auto"\nneutral = "auto"',
        f'since = "{at(1200)}"\nsame_as = "{neutral_id(site)}"',
        f'since = {at(1500)}\nmount = "up=+x,anterior=-z"',
    )
    out, _ = run(site, capsys, *words, "--name", "found", "--json")
    told = json.loads(out)
    assert told["clip-1"]["corrected"] == 3
    start, posed, again, front = in_force(Path(told["derivation"]["store"]))
    assert (start[2], again[0], front[0]) == (3.5, 1200.0, 1500.0)
    assert posed[0] == 8.0
    assert again[2] == pytest.approx(np.hypot(2.0, 2.0 * np.sqrt(1192 / 86400)))  # as doubtful as it has become
    # A pose taken later keeps the front that was found before it, live and with hindsight.
    retro, _ = run(site, capsys, *words, "--mode", "retro", "--name", "found-retro", "--json")
    looked_back = in_force(Path(json.loads(retro)["derivation"]["store"]))
    assert [row[1] for row in looked_back if row[0] in (1200.0, 1500.0)] == [again[1], front[1]]


def test_bows_show_the_front_and_leave_the_zero_where_it_was(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = stated(site, f'since = "{at(9)}"\nmount = "bows"\nmovement = ["{at(16)}", "{at(30)}"]')
    run(site, capsys, *words, "--name", "bowed", "--diff", str(site / "bowed.json"))
    (change,) = json.loads((site / "bowed.json").read_text(encoding="utf-8"))["alignment_changes"]
    assert change["zero_deg"] < 1e-6
    assert 0.5 < change["front_deg"] < 15.0  # the simulated clip sits some degrees askew


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('mount = "sideways"', "key 'mount': mount 'sideways' is not understood"),
        ('neutral = ["soon", "later"]', "key 'neutral': 'soon' is no time"),
        (f'neutral = ["{at(9)}", "{at(4)}"]', "begin before it ends"),
        ('neutral = "standing"', "key 'neutral': 'standing' is not understood"),
        ('mount = "bows"', "belongs to mount"),
        (f'mount = "bows"\nmovement = ["{at(60)}", "{at(72)}"]', "bow"),
        ('note = "well"', "says not how the clip sat"),
        ('same_as = "x"\nmount = "auto"', "leave out 'neutral' and 'mount'"),
        ('replaces = "x"\nsince = "2026-03-02"\nmount = "auto"', "leave one out"),
        ('zero = "auto"', "unknown key 'alignment[0].zero'"),
        ('same_as = "static-0"', "key 'same_as': no alignment 'static-0'; the gateway had nominal-"),
        (f'neutral = ["{at(4000)}", "{at(4004)}"]', "no samples of that pose"),
        (f'since = "{at(9000)}"\nmount = "auto"', "no samples of that time"),
        (
            f'since = "{at(10)}"\nmount = "auto"\n[[alignment]]\nsensor = "clip-1"\nsince = "{at(20)}"\nmount = "auto"',
            "no walking",
        ),
        ('mount = "auto"\n[[alignment]]\nsensor = "clip-9"\nmount = "auto"', "no sensor 'clip-9'; choose of clip-1"),
        ('mount = "up=+x,anterior=-z"\n[[alignment]]\nsensor = "clip-1"\nmount = "auto"', "hold from the same instant"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_leaves_no_store(
    site: Path, capsys: pytest.CaptureFixture[str], entry: str, said: str
) -> None:
    _, err = run(site, capsys, *stated(site, entry), "--name", "refused", status=1)
    assert said in err
    assert (
        len([line for line in err.strip().splitlines() if "%" not in line]) == 1
    )  # beside the progress of a slow machine
    assert not list((site / "data").glob("derived/refused*"))


def test_an_alignment_after_the_last_sample_is_warned_of(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = stated(site, f'since = "{at(9000)}"\nsame_as = "{neutral_id(site)}"')
    assert "0 of 1 alignments came into force" in run(site, capsys, *words, "--name", "too-late")[1]


def test_an_export_of_a_derivation_says_what_it_is(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(site, capsys, *stated(site, 'mount = "up=+x,anterior=+y"\nnote = "front"'), "--name", "exported")
    store = site / "data/derived/exported.db"
    for folder, words in (("plain", ()), ("shared", ("--remap-ids",)), ("days", ("--by-day",))):
        assert cli.main(["export", "--store", str(store), "--out", str(site / folder), *words]) == 0
    plain, shared, days = (
        json.loads((site / folder / "manifest.json").read_text(encoding="utf-8"))["derivation"]
        for folder in ("plain", "shared", "days")
    )
    assert plain == days
    assert (plain["name"], plain["alignments"][0]["how"]["note"]) == ("exported", "front")
    assert plain["versions"]["tiltline"]
    assert set(shared) == {"name", "mode", "study", "versions"}  # neither people nor times
    stored = site / "data/store.db"
    assert cli.main(["export", "--store", str(stored), "--out", str(site / "original")]) == 0
    assert "derivation" not in json.loads((site / "original" / "manifest.json").read_text(encoding="utf-8"))
