"""`tiltline validate` on a small folder made here: what it writes, what it refuses, and that the work can be shared."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from processing.alignment.auto import survey
from processing.batch import blocks
from sensor_gateway import cli
from sensor_gateway.validation.alignment import Surveyed, conclude
from sensor_gateway.validation.datasets import DataError, find
from sensor_gateway.validation.run import as_json, validate
from sensor_gateway.validation.truth import read_truth
from tests.processing.alignment_chain import recording as wearer

G = 9.80665
RATE_HZ = 50.0


def write(path: Path, columns: dict[str, np.ndarray], facts: dict | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if facts is not None:
        table = table.replace_schema_metadata({"recording": json.dumps(facts)})
    pq.write_table(table, path)


def nodding(seconds: float, amplitude_deg: float, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A clip (up +x, out of the back +z) on a pelvis that nods slowly, and its true anterior tilt [deg]."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    w = 2 * np.pi * 0.2
    moving = (t > 4.0).astype(float)
    tilt = np.radians(amplitude_deg) * (1 - np.cos(w * (t - 4.0))) * moving
    rate = np.radians(amplitude_deg) * w * np.sin(w * (t - 4.0)) * moving
    # Pelvis: x ahead, y up, z right. Sensor: x = up, z = back, y = z cross x = left. Anterior tilt turns about -z of the pelvis.
    up_p = np.column_stack([-np.sin(tilt), np.cos(tilt), np.zeros_like(t)])
    up_s = np.column_stack([up_p[:, 1], -up_p[:, 2], -up_p[:, 0]])
    acc = G * up_s + 0.02 * rng.standard_normal((len(t), 3))
    gyr = 0.002 * rng.standard_normal((len(t), 3))
    gyr[:, 1] += rate  # forward about the left axis, right-handed
    names = ("ax", "ay", "az", "gx", "gy", "gz")
    values = np.column_stack([acc, gyr])
    return {"t_s": t, **{k: values[:, i] for i, k in enumerate(names)}}, np.degrees(tilt)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for k in range(6):
        columns, tilt = nodding(24.0, 4.0, k)
        walking = columns["t_s"] > 4.0
        truth = {"ref_tilt_deg": tilt + 12.0, "ref_obliquity_deg": np.zeros(len(tilt)), "walking": walking}
        write(folder / "pelvis" / f"p{k:02d}_nod.parquet", {**columns, **truth})
        label = np.where(columns["t_s"] < 16, 5, 0).astype(np.int8)
        write(folder / "hapt" / f"exp{k:02d}_user{10 + k}.parquet", {**columns, "label": label})
    columns, _ = nodding(24.0, 0.0, 9)
    contacts = [[6.0 + 0.55 * k, "LR"[k % 2]] for k in range(12)]
    write(folder / "gait" / "g01_t1.parquet", columns, {"contacts_s": contacts})
    return folder


@pytest.fixture(scope="module")
def report(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "report"
    assert cli.main(["validate", str(data), "--out", str(out)]) == 0
    return out


def results(report: Path, **want: str) -> list[dict]:
    every = json.loads((report / "validation.json").read_text(encoding="utf-8"))["results"]
    return [r for r in every if all(r[k] == v for k, v in want.items())]


def test_tilt_is_scored_for_every_mode_person_part_and_peer(report: Path) -> None:
    for mode in ("online", "settled", "retro"):
        (whole,) = results(report, set="pelvis", measure="tilt", estimator="tiltline", mode=mode, kind="all")
        assert whole["recordings"] == whole["subjects"] == 6
        assert 0.0 < whole["values"]["rmse_deg"] < 0.5  # a slow nod of 8 deg, and 12 deg of constant that cost nothing
        assert whole["values"]["coverage"] == 1.0
        low, high = whole["intervals"]["rmse_deg"]
        assert low <= whole["values"]["rmse_deg"] <= high
        assert len(results(report, set="pelvis", measure="tilt", mode=mode, kind="subject")) == 6
        assert {r["group"] for r in results(report, set="pelvis", mode=mode, kind="part")} == {"walking", "standing"}
    (alone,) = results(report, set="pelvis", estimator="accelerometer alone", kind="all")
    assert alone["values"]["rmse_deg"] < 0.5  # the nod is slow enough for gravity alone
    assert {r["estimator"] for r in results(report, set="pelvis", kind="all")} >= {
        "vqf default",
        "vqf tauAcc 5",
        "offlineVQF",
    }


def test_agreement_has_both_zeros_at_the_neutral_pose(report: Path) -> None:
    content = json.loads((report / "validation.json").read_text(encoding="utf-8"))
    assert {a["mode"] for a in content["agreement"]} == {"online", "settled", "retro"}
    for a in content["agreement"]:
        assert a["people"] == 6
        assert a["over"] == "people"
        assert abs(a["bias_deg"]) < 0.6  # online, the first half minute still learns the gyroscope's bias
        assert a["lower_deg"] < a["bias_deg"] < a["upper_deg"]


def test_people_something_was_looked_at_on_are_told_apart(report: Path) -> None:
    (every,) = results(report, set="hapt", measure="posture", mode="online", kind="all")
    (unseen,) = results(report, set="hapt", measure="posture", mode="online", kind="unseen")
    assert (every["subjects"], unseen["subjects"]) == (6, 2)  # users 10-15; 14 and 15 are new
    assert sum(every["tally"].values()) == 6 * 16  # unlabelled seconds are not asked


def test_steps_that_are_not_there_are_not_found_and_a_metronome_is_beside(report: Path) -> None:
    (own,) = results(report, set="gait", measure="steps", mode="retro", kind="all")
    assert own["tally"]["true"] == 12
    assert own["values"]["recall"] == 0.0
    (beat,) = results(report, set="gait", measure="steps", estimator="metronome", kind="all")
    assert beat["values"]["f1"] == 1.0  # contacts as even as a clock's: this is why real ones must hold turns and stops


class Page(HTMLParser):
    """Collects what a browser would fetch, and checks that elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [f"{tag} {k}={v}" for k, v in attrs if k in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_says_what_it_is_not(report: Path) -> None:
    text = (report / "validation.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.fetched == []
    assert page.open == []
    assert not re.search(r"@import|url\(", text)
    assert "prefers-color-scheme:dark" in text
    assert "no diagnosis follows" in text
    assert text.count("<svg") >= 4
    assert text.count("aria-label") == text.count("<svg")
    assert "nan" not in re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL).lower().split()


def test_shared_work_gives_the_same_result(data: Path) -> None:
    alone, shared = (as_json(validate(data, ["pelvis"], ["online", "retro"], jobs)) for jobs in (1, 2))
    alone.pop("timing")
    shared.pop("timing")
    assert json.dumps(alone) == json.dumps(shared)


def test_bars_are_held_only_against_their_own_sets(
    report: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((report / "validation.json").read_text(encoding="utf-8"))
    assert {b["set"] for b in content["bars"]} == {"hapt"}
    posture = [b for b in content["bars"] if b["measure"] == "posture"]
    assert [(b["mode"], b["limit"]) for b in posture] == [("online", 0.9), ("settled", 0.92), ("retro", 0.95)]
    assert all(b["met"] is (b["reached"] >= b["limit"]) for b in posture)
    transfers = [b for b in content["bars"] if b["measure"] == "transfers"]
    assert all(
        b["reached"] is None and b["met"] is None for b in transfers
    )  # nobody sat down: not measured, not missed


def test_modes_sets_and_a_line_for_machines(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--sets", "hapt", "--modes", "retro,online", "--no-peers", "--json"]
    assert cli.main(["validate", str(data), "--out", str(tmp_path / "o"), *words]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["sets"] == {"hapt": 6}
    assert {b["mode"] for b in said["bars"]} == {"online", "retro"}
    assert all(" auto: " in w for w in said["warnings"])  # nobody walks in these: the usual mount is assumed, and said
    full = json.loads((tmp_path / "o" / "validation.json").read_text(encoding="utf-8"))
    assert (
        full["command"] == f"tiltline validate {data.name} --out o --sets hapt --modes online,retro --jobs 1 --no-peers"
    )
    assert str(data.parent) not in (tmp_path / "o" / "validation.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda _: None, "no such folder"),
        (lambda d: d.mkdir(), "holds no recordings"),
        (lambda d: (d / "broad").mkdir(parents=True), "holds no recordings"),
        (lambda d: write(d / "x.parquet", {"t_s": np.arange(3.0)}), "holds no recordings"),
        (lambda d: write(d / "broad" / "x.parquet", {"t_s": np.arange(3.0)}), "no file has a truth"),
    ],
)
def test_a_folder_of_another_kind_gets_one_sentence(tmp_path: Path, make, sentence: str, capsys) -> None:
    make(tmp_path / "d")
    assert cli.main(["validate", str(tmp_path / "d"), "--out", str(tmp_path / "o")]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert sentence in said[0]
    assert "expected sub-folders such as broad" in said[0]
    assert not (tmp_path / "o").exists()


def test_an_unknown_set_is_named_and_a_wrong_mode_is_wrong_usage(data: Path, tmp_path: Path, capsys) -> None:
    assert cli.main(["validate", str(data), "--out", str(tmp_path), "--sets", "hapt,nowhere"]) == 1
    assert "has no set nowhere; there are gait, hapt, pelvis" in capsys.readouterr().err
    with pytest.raises(SystemExit) as e:
        cli.main(["validate", str(data), "--out", str(tmp_path), "--modes", "fast"])
    assert e.value.code == 2


def test_a_folder_that_cannot_be_made_is_said_before_the_work(data: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "taken").write_text("a file")
    assert cli.main(["validate", str(data), "--out", str(tmp_path / "taken")]) == 1
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert "choose another --out" in said
    assert len(said.splitlines()) == 1


def test_a_broken_file_is_left_out_and_said(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    columns, tilt = nodding(12.0, 3.0, 1)
    write(folder / "pelvis" / "a_ok.parquet", {**columns, "ref_tilt_deg": tilt})
    (folder / "pelvis" / "b_cut.parquet").write_bytes((folder / "pelvis" / "a_ok.parquet").read_bytes()[:-100])
    without_gyr = {k: v for k, v in columns.items() if k != "gx"}
    write(folder / "pelvis" / "c_nogyr.parquet", {**without_gyr, "ref_tilt_deg": tilt})
    done = validate(folder, modes=["online"], with_peers=False)
    assert {r.recording for r in done.rows} == {"a_ok"}
    assert any("b_cut.parquet is left out" in w for w in done.warnings)
    assert any("missing column gx" in w for w in done.warnings)


def test_truth_of_each_form(data: Path, tmp_path: Path) -> None:
    truth = read_truth(data / "pelvis" / "p00_nod.parquet")
    assert truth.neutral_s == (0.5, 3.0)
    contacts = read_truth(data / "gait" / "g01_t1.parquet").contacts
    assert contacts is not None
    assert contacts.side[:2] == ("left", "right")
    assert contacts.walks_s is None
    columns, _ = nodding(10.0, 0.0, 1)
    t = columns["t_s"]
    insole = {"ic_indip": np.isin(np.arange(len(t)), [200, 230, 260]).astype(np.int8), "walk_indip": (t > 3) & (t < 6)}
    write(tmp_path / "m.parquet", {**columns, **insole})
    contacts = read_truth(tmp_path / "m.parquet").contacts
    assert contacts is not None
    assert contacts.t_s.tolist() == pytest.approx([4.0, 4.6, 5.2])
    assert contacts.walks_s == ((3.02, 5.98),)


def test_only_folders_with_recordings_are_sets(data: Path) -> None:
    found = find(data, ["pelvis"])
    assert [c.subject for c in found.cases] == [f"p{k:02d}" for k in range(6)]
    with pytest.raises(DataError, match="has no set"):
        find(data, ["other"])


def test_alignment_is_asked_of_walks_and_reported(tmp_path: Path) -> None:
    _, walk = wearer(0.1)
    (tmp_path / "ipol_l5_gait").mkdir()
    columns = {"t_s": (walk.t_utc_ns - walk.t_utc_ns[0]) / 1e9}
    columns |= {f"{k}{c}": x[:, i] for k, x in (("a", walk.acc_mps2), ("g", walk.gyr_rps)) for i, c in enumerate("xyz")}
    write(tmp_path / "ipol_l5_gait" / "s01_t1.parquet", columns, {"contacts_s": [[40.0, "L"], [40.6, "R"]]})
    assert cli.main(["validate", str(tmp_path), "--out", str(tmp_path / "o"), "--modes", "online", "--no-peers"]) == 0
    content = json.loads((tmp_path / "o" / "validation.json").read_text(encoding="utf-8"))["alignment"]
    assert content["turned"] == {n: [1, 1] for n in ("as it is", "upside down", "left for right", "both")}
    bars = {b["name"]: b for b in content["bars"]}
    assert (bars["turned_found"]["reached"], bars["turned_found"]["of"], bars["turned_found"]["met"]) == (1.0, 3, True)
    assert bars["split_half_p95_deg"]["of"] == 1
    assert bars["split_half_p95_deg"]["reached"] < 2.0
    assert bars["slips_found"]["reached"] is None
    page = (tmp_path / "o" / "validation.html").read_text(encoding="utf-8")
    assert "turned clips found" in page
    assert "ipol_l5_gait (1)" in page


def test_a_heading_that_wanders_and_a_clip_that_is_not_found_count_against() -> None:
    windows = survey(blocks(wearer(0.06)[1]), 50.0).windows
    both = ((True, True), (False, False))
    result = conclude([Surveyed("s", "r", "p", windows, {"as it is": True, "upside down": r}, s, 2) for r, s in both])
    assert result is not None
    bars = {b.name: b for b in result.bars}
    assert (bars["sign_right"].reached, bars["turned_found"].reached, bars["slips_found"].reached) == (1.0, 0.5, 0.5)
    assert (bars["turned_found"].met, bars["slips_found"].met) == (False, False)
    assert result.false_alarms == 4
    assert conclude([Surveyed("s", "r", "p", [])]) is None
