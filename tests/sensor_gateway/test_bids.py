"""Raw export and Motion-BIDS: what the sensor measured comes out again, days are cut at midnight, and the validator agrees."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from processing.types import NS_PER_S, POSTURES, Event, Metric, TimedBatch
from sensor_gateway.bids.write import write_bids
from sensor_gateway.export.deidentify import veil
from sensor_gateway.export.manifest import check_manifest
from sensor_gateway.export.raw import RawStream
from sensor_gateway.export.selection import ExportError
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store

MIDNIGHT = 1_773_187_200 * NS_PER_S  # 2026-03-11T00:00Z
ALL = (0, 2**62)
VALIDATOR = Path(sys.executable).parent / "bids-validator-deno"


def batches(start_ns: int, n: int, step_ns: int = 10_000_000, hole: slice = slice(0)) -> Iterator[TimedBatch]:
    """Samples with numbers that can be told apart, in batches of 37; ``hole`` is left out."""
    t = start_ns + np.arange(n, dtype=np.int64) * step_ns
    rows = np.delete(np.arange(n), np.arange(n)[hole])
    for i in range(0, len(rows), 37):
        part = rows[i : i + 37]
        acc = np.column_stack([part * 0.001, part * 0.002, np.full(len(part), 9.81)])
        yield TimedBatch(t[part], acc, acc * 0.1)


def stream(of: Iterator[TimedBatch]) -> RawStream:
    return RawStream("w-001", "clip-1", "open", 100.0, of)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Four seconds on each side of midnight, one of them without tilt, and three events."""
    store = Store.open(tmp_path / "store.db")
    for i in range(-4, 4):
        tilt = None if i == 1 else 2.5 + i
        t = MIDNIGHT + i * NS_PER_S
        store.write([Owned("w-001", "clip-1", Metric(t, tilt, 0.5, tilt and 1.2, "standing", 0.9, 1.0, 0.8))])
    events = [
        Event(MIDNIGHT - NS_PER_S, "e1", "flag", "tilt_dose", {"text": "a\tb"}),
        Event(MIDNIGHT + NS_PER_S, "e2", "pain", None, {"score": 3, "note": "private words"}),
        Event(MIDNIGHT + 40 * 86_400 * NS_PER_S, "e3", "flag", "tilt_dose", {}),  # a day without samples
    ]
    store.write(Owned("w-001", "clip-1", e) for e in events)
    yield store
    store.close()


def table(path: Path) -> np.ndarray:
    return np.loadtxt(path, delimiter="\t", ndmin=2)


def test_samples_come_out_again_and_holes_stay_holes(tmp_path: Path, store: Store) -> None:
    root = tmp_path / "ds"
    start = MIDNIGHT - NS_PER_S
    rows = write_bids(root, ["w-001"], [stream(batches(start, 250, hole=slice(50, 60)))], store, ALL)
    assert rows == {"raw": 240, "tilt": 8, "events": 2}
    found = [table(f) for f in sorted(root.rglob("*clip1raw_motion.tsv"))]
    assert [len(f) for f in found] == [90, 150]  # cut at midnight UTC
    latency = np.arange(250) * 0.01
    np.testing.assert_allclose(found[0][:, 0], np.delete(latency, slice(50, 60))[:90], atol=1e-6)
    np.testing.assert_allclose(found[1][:, 0], latency[100:] - 1.0, atol=1e-6)
    np.testing.assert_allclose(found[1][:, 1], np.arange(100, 250) * 0.001, atol=5e-6)
    np.testing.assert_allclose(found[1][:, 6], 0.981, atol=1e-6)
    about = json.loads(next(root.rglob("*20260311*clip1raw_motion.json")).read_text(encoding="utf-8"))
    assert about["SamplingFrequencyEffective"] == pytest.approx(100.0)


def test_missing_is_na_and_free_text_stays_behind(tmp_path: Path, store: Store) -> None:
    root = tmp_path / "ds"
    write_bids(root, ["w-001"], [], store, ALL)
    lines = next(root.rglob("*20260311*tracksys-clip1tilt_motion.tsv")).read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == [
        "0.000000",
        "2.5000",
        "0.5000",
        "1.2000",
        str(POSTURES.index("standing")),
        "0.9000",
        "1.0000",
        "0.8000",
    ]
    assert lines[1].split("\t")[1:4] == ["n/a", "0.5000", "n/a"]
    with next(root.rglob("*20260311*_events.tsv")).open(encoding="utf-8", newline="") as f:
        found = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [(e["onset"], e["trial_type"], e["rule"]) for e in found] == [("1.000000", "pain", "n/a")]
    assert json.loads(found[0]["data"]) == {"score": 3}
    assert not any(b"private words" in f.read_bytes() for f in root.rglob("*") if f.is_file())


def test_two_clips_of_one_wearer_are_two_tracking_systems(tmp_path: Path, store: Store) -> None:
    """As where a wearer has one at the back and one at the side, or another one from noon on."""
    for i in range(4):
        t = MIDNIGHT + i * NS_PER_S
        store.write([Owned("w-001", "clip-2", Metric(t, 40.0 + i, 0.5, 1.2, "standing", 0.9, 1.0, 0.8))])
    root = tmp_path / "ds"
    assert write_bids(root, ["w-001"], [], store, ALL)["tilt"] == 12
    np.testing.assert_allclose(table(next(root.rglob("*20260311*clip2tilt_motion.tsv")))[:, 0], [0, 1, 2, 3])
    about = [json.loads(p.read_text())["SamplingFrequencyEffective"] for p in root.rglob("*tilt_motion.json")]
    assert about == [1.0, 1.0, 1.0]
    with next(root.rglob("*20260311*scans.tsv")).open() as f:
        assert [line.split("\t")[0].split("tracksys-")[1] for line in list(f)[1:]] == [
            "clip1tilt_motion.tsv",
            "clip2tilt_motion.tsv",
        ]
    store.write([Owned("w-001", "clip1", Metric(MIDNIGHT, 1.0, 0.5, 1.2, "standing", 0.9, 1.0, 0.8))])
    with pytest.raises(ExportError, match="two sensors of w-001 have the same letters"):
        write_bids(tmp_path / "other", ["w-001"], [], store, ALL)


def test_the_span_holds_and_refusals_say_why(tmp_path: Path, store: Store) -> None:
    span = (MIDNIGHT, MIDNIGHT + NS_PER_S // 2)
    rows = write_bids(tmp_path / "ds", ["w-001"], [stream(batches(MIDNIGHT - NS_PER_S, 250))], store, span)
    assert rows == {"raw": 50, "tilt": 1, "events": 0}
    with pytest.raises(ExportError, match="is not empty"):
        write_bids(tmp_path / "ds", ["w-001"], [], store, ALL)
    with pytest.raises(ExportError, match=r"^w-1, w1: have the same letters and digits"):
        write_bids(tmp_path / "a", ["w-1", "w1"], [], store, ALL)
    with pytest.raises(ExportError, match="nothing lies in this span"):
        write_bids(tmp_path / "b", ["w-001"], [], store, (0, 1))


def test_a_data_set_appears_whole_or_not_at_all(tmp_path: Path, store: Store) -> None:
    def broken() -> Iterator[TimedBatch]:
        yield from batches(MIDNIGHT, 100)
        raise OSError("the disk is full")

    root = tmp_path / "ds"
    with pytest.raises(OSError, match="full"):
        write_bids(root, ["w-001"], [stream(broken())], store, ALL)
    assert not list(root.iterdir())
    killed = root / "sub-x9/ses-20260311/motion"
    killed.mkdir(parents=True)
    (killed / ".half.tsv.partial").write_text("0.1")
    (root / ".README.partial").write_text("Pelvic")
    (root / ".manifest.json.partial").write_text('{"outp')
    write_bids(root, ["w-001"], [stream(batches(MIDNIGHT, 100))], store, ALL)
    # Killed while the files took their names: the manifest is the last to have its own.
    for name in ("README", "manifest.json"):
        (root / name).rename(root / f".{name}.partial")
    write_bids(root, ["w-001"], [stream(batches(MIDNIGHT, 50))], store, ALL)
    assert check_manifest(root) == []
    tops = {"README", "dataset_description.json", "participants.json", "participants.tsv", "sub-w001"}
    assert {path.name for path in root.iterdir()} == tops | {".bidsignore", "manifest.json"}


@pytest.mark.parametrize("hidden", [False, True], ids=["as it is", "de-identified"])
def test_the_manifest_names_every_file_and_what_was_hidden(tmp_path: Path, store: Store, hidden: bool) -> None:
    root = tmp_path / "ds"
    over = veil("random" if hidden else None, hidden, {"w-001": "wearer", "clip-1": "sensor"})
    store.sign(
        MIDNIGHT, {"tiltline": "0.1.0"}, {"name": "stricter", "mode": "online", "options": ["--study", "s.toml"]}
    )
    rows = write_bids(root, ["w-001"], [stream(batches(MIDNIGHT, 100))], store, ALL, veil=over)
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    files = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    assert set(manifest["outputs"]) == files - {"manifest.json"}
    by_suffix = {"raw": "raw_motion.tsv", "tilt": "tilt_motion.tsv", "events": "_events.tsv"}
    for kind, suffix in by_suffix.items():
        assert sum(facts["rows"] for name, facts in manifest["outputs"].items() if name.endswith(suffix)) == rows[kind]
    assert manifest["versions"]["tiltline"]
    assert manifest["derivation"]["name"] == "stricter"
    assert ("options" in manifest["derivation"]) != hidden
    assert manifest["selection"] == {
        "wearers": [over.name("wearer", "w-001")],
        "from_utc_ns": None,
        "to_utc_ns": None if hidden else ALL[1],
        "tables": ["raw", "tilt", "events"],
        "form": "bids",
    }
    assert manifest.get("deidentified") == (over.facts() if hidden else None)
    assert check_manifest(root) == []
    next(root.rglob("*raw_motion.tsv")).write_text("0")
    (root / "README").unlink()
    assert len(check_manifest(root)) == 2


@pytest.mark.slow
@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
def test_a_shared_data_set_tells_neither_days_nor_ids(tmp_path: Path, store: Store) -> None:
    root = tmp_path / "ds"
    hidden = veil("random", True, {"w-001": "wearer", "clip-1": "sensor"})
    rows = write_bids(root, ["w-001"], [stream(batches(MIDNIGHT, 250))], store, ALL, veil=hidden)
    assert rows == {"raw": 250, "tilt": 8, "events": 2}
    told = "".join(str(p.relative_to(root)) + p.read_text(encoding="utf-8") for p in root.rglob("*") if p.is_file())
    for secret in ("w-001", "w001", "clip-1", "clip1", "20260310", "20260311", "2026-03", "private words"):
        # A new id is hexadecimal digits behind the kind, so by chance it may begin as the old one did.
        assert re.search(rf"{secret}(?![0-9a-f])", told) is None
    assert "renamed" in (root / "README").read_text(encoding="utf-8")
    # Time of day and intervals stay: the second session still begins at midnight, with the samples as measured.
    scans = [line.split("\t")[1] for p in sorted(root.rglob("*_scans.tsv")) for line in p.read_text().splitlines()[1:]]
    assert [t[11:19] for t in scans] == ["23:59:56", "00:00:00", "00:00:00"]
    raw = table(next(root.rglob("*raw_motion.tsv")))
    np.testing.assert_allclose(raw[:, 1], np.arange(250) * 0.001, atol=5e-6)


@pytest.mark.parametrize("hidden", [False, True], ids=["as it is", "de-identified"])
def test_the_official_validator_finds_no_error_and_finds_a_planted_one(
    tmp_path: Path, store: Store, hidden: bool
) -> None:
    root = tmp_path / "ds"
    over = veil("random" if hidden else None, hidden, {})
    write_bids(root, ["w-001"], [stream(batches(MIDNIGHT - NS_PER_S, 250))], store, ALL, veil=over)

    def errors() -> list[str]:
        done = subprocess.run(
            [str(VALIDATOR), str(root), "--format", "json"], capture_output=True, text=True, timeout=120, check=False
        )
        found = json.loads(done.stdout)["issues"]["issues"]
        return [i["code"] for i in found if i["severity"] == "error"]

    assert errors() == []
    channels = next(root.rglob("*raw_channels.tsv"))
    channels.write_text(channels.read_text(encoding="utf-8").replace("ACCEL", "ACEL"), encoding="utf-8")
    assert errors() != []
    shutil.rmtree(root)
