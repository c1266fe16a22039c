"""`tiltline alignment` on a gateway's real data: the history, an offset, a correction and its derivation beside the original."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sensor_gateway import cli
from sensor_gateway.clock import SystemClock
from sensor_gateway.demo import Demo, DemoOptions
from sensor_gateway.gateway import Hooks
from sensor_gateway.sinks.store import Store

TOML = """
[site]
data_dir = "data"
timezone = "Europe/Berlin"
[[sensors]]
id = "clip-1"
wearer = "w-001"
driver = "synthetic"
options = {seed = 1, hours = 0.2}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "gateway.toml").write_text(TOML, encoding="utf-8")
    demo = Demo(DemoOptions(folder / "data", 0.5, 0.2, 0, 1, "UTC"), SystemClock(), lambda _: None, Hooks())
    asyncio.run(demo.run(asyncio.Event()))
    return folder


def run(site: Path, capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert cli.main(["alignment", *words, "--config", str(site / "gateway.toml")]) == status
    out, err = capsys.readouterr()
    return out if status == 0 else err


def listed(site: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(run(site, capsys, "list", "w-001", "--json"))["rows"]
    return rows


def test_the_history_shows_what_was_in_force_since_when_and_how_sure(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start, neutral = (r for r in listed(site, capsys) if r["kind"] == "alignment")
    assert (start["method"], start["has_neutral"], start["until_utc_ns"]) == ("nominal", False, neutral["t_utc_ns"])
    assert (neutral["method"], neutral["step"], neutral["uncertainty_deg"]) == ("static", "neutral", 2.0)
    assert neutral["uncertainty_at_end_deg"] > 2.0
    text = run(site, capsys, "list", "w-001")
    assert neutral["id"] in text
    assert "zero at the neutral pose" in text
    shown = json.loads(run(site, capsys, "show", neutral["id"], "--json"))
    assert shown["r_ps"] == neutral["r_ps"]
    assert "no alignment or note" in run(site, capsys, "show", "static-00000000", status=1)
    assert "no wearer 'w-009'" in run(site, capsys, "list", "w-009", status=1)


def test_a_correction_derives_beside_and_nothing_old_changes(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    neutral = next(r for r in listed(site, capsys) if r.get("method") == "static")
    t = neutral["t_utc_ns"]
    iso = [_iso(t + s * 10**9) for s in (-4, 0)]
    note = "the pose was ready late"
    done = json.loads(run(site, capsys, "correct", neutral["id"], "--neutral-at", *iso, "--note", note, "--json"))
    assert done["came_into_force"] == 1
    assert done["note"]["of"] == neutral["id"]
    derived, stored = Store.open(done["store"], readonly=True), Store.open(site / "data/store.db", readonly=True)
    changed = [
        (a.anterior_tilt_deg, b.anterior_tilt_deg)
        for a, b in zip(stored.metrics("w-001"), derived.metrics("w-001"), strict=False)
        if a.anterior_tilt_deg is not None and b.anterior_tilt_deg is not None and a.t_utc_ns >= t
    ]
    assert len(changed) > 500
    moved = [b - a for a, b in changed]
    assert 0.0 < abs(moved[0]) < 2.0  # a second less of the same quiet pose: nearly the same zero
    assert max(moved) - min(moved) < 0.5
    stored.close()
    derived.close()
    rows = listed(site, capsys)
    assert [r["superseded"] for r in rows if r.get("method") == "static"] == [True, False]
    assert rows[-1]["why"] == f"corrects {neutral['id']}: {note}"
    at = _iso(t + 10**9)
    now = json.loads(run(site, capsys, "list", "w-001", "--at", at, "--json"))["in_force"][0]["id"]
    then = json.loads(run(site, capsys, "list", "w-001", "--at", at, "--as-of", at, "--json"))["in_force"][0]["id"]
    assert (now, then) == (rows[-1]["id"], neutral["id"])
    assert "exists" in run(
        site, capsys, "correct", neutral["id"], "--mount", "up=+x,anterior=-z", "--name", "clip-1-v1", status=1
    )
    assert len(listed(site, capsys)) == len(rows)  # what could not be derived was not entered either


def test_a_correction_that_cannot_be_made_says_why(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    neutral = next(r for r in listed(site, capsys) if r.get("method") == "static")
    t = neutral["t_utc_ns"]
    early = [_iso(t - s * 10**9) for s in (86_400, 86_395)]
    assert "no samples" in run(site, capsys, "correct", neutral["id"], "--neutral-at", *early, status=1)
    assert "begin before" in run(site, capsys, "correct", neutral["id"], "--neutral-at", *early[::-1], status=1)
    assert "not understood" in run(site, capsys, "correct", neutral["id"], "--mount", "sideways", status=1)


def test_an_offset_shows_in_the_export_with_its_doubt_and_changes_no_record(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(site / "data/store.db", readonly=True)
    before = [*store.metrics("w-001")]
    words = ("12.5", "--method", "caliper", "--rater", "th-03", "--date", "2020-03-01")
    entered = json.loads(run(site, capsys, "offset", "w-001", *words, "--json"))
    assert (entered["angle_deg"], entered["rater"]) == (12.5, "th-03")
    assert entered["t_utc_ns"] == 1_583_017_200_000_000_000  # midnight in Berlin
    assert [*store.metrics("w-001")] == before
    store.close()
    assert cli.main(["export", "--store", str(site / "data/store.db"), "--out", str(tmp_path / "x")]) == 0
    both = zip(
        pq.read_table(tmp_path / "x/metrics.parquet").to_pylist(),
        pq.read_table(tmp_path / "x/absolute.parquet").to_pylist(),
        strict=True,
    )
    rows = [(m["anterior_tilt_deg"], m["tilt_uncertainty_deg"], a) for m, a in both]
    known = [(a["anterior_tilt_abs_deg"] - tilt, a["tilt_abs_uncertainty_deg"], doubt) for tilt, doubt, a in rows if a["anterior_tilt_abs_deg"] is not None]  # fmt: skip
    assert len(known) > 500
    assert all(d == pytest.approx(12.5) for d, _, _ in known)
    assert all(s == pytest.approx((d**2 + 2.5**2) ** 0.5) for _, s, d in known)
    assert rows[0][2]["anterior_tilt_abs_deg"] is None  # before the neutral pose
    manifest = json.loads((tmp_path / "x/manifest.json").read_text(encoding="utf-8"))
    assert [o["sigma_deg"] for o in manifest["offsets"]] == [2.5]
    assert "absolute" in json.loads((tmp_path / "x/dictionary.json").read_text(encoding="utf-8"))["tables"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("w-001", "80", "--method", "caliper", "--rater", "th-03"), "within ±45"),
        (("w-001", "8", "--method", "caliper", "--rater", "Dr Who"), "pseudonym"),
        (("w-001", "8", "--method", "caliper", "--rater", "th-03", "--date", "2999-01-01"), "future"),
        (("w-001", "8", "--method", "caliper", "--rater", "th-03", "--date", "yesterday"), "no date"),
        (("w-077", "8", "--method", "caliper", "--rater", "th-03"), "no sensor is bound"),
    ],
)
def test_an_offset_that_cannot_be_right_is_refused(
    site: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], reason: str
) -> None:
    assert reason in run(site, capsys, "offset", *words, status=1)


def _iso(t_utc_ns: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(t_utc_ns / 1e9, UTC).isoformat()
