"""`tiltline process` against optical truth on the reference recordings (`TILTLINE_REFERENCE` names their folder).

Bars: inclination RMSE over the moving samples of the BROAD trials, mean over trials, online <= 0.80 deg, retro <= 0.60 deg;
anterior tilt RMSE on the pelvis of the NeuRA sample, one constant offset removed, online <= 1.5 deg, retro <= 1.1 deg.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
import pytest

from processing.dictionary import EPOCH, METRIC, SAMPLE
from processing.types import POSTURES
from sensor_gateway import cli
from sensor_gateway.export.manifest import check_manifest
from sensor_gateway.process import FILES
from sensor_gateway.validation import measures
from sensor_gateway.validation.run import Validation, validate
from sensor_gateway.validation.summary import Result
from sensor_gateway.validation.tally import TILT
from tests.reference import ABSENT, REFERENCE

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not REFERENCE.is_dir(), reason=ABSENT),
]


def process(out: Path, recordings: list[Path], *options: str) -> None:
    assert cli.main(["process", *map(str, recordings), "--out", str(out), *options]) == 0


def scored(name: str, mode: Literal["online", "settled", "retro"]) -> Validation:
    return validate(REFERENCE, [name], [mode], with_peers=False)


def headline(done: Validation, measure: str) -> Result:
    (result,) = [r for r in done.results if r.measure == measure and r.kind == "all"]
    return result


def columns(path: Path, *names: str) -> np.ndarray:
    table = pq.read_table(path, columns=list(names))
    return np.column_stack([table[n].to_numpy().astype(float) for n in names])


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "bar_deg"), [("online", 0.80), ("retro", 0.60)])
def test_inclination_on_broad(mode: Literal["online", "retro"], bar_deg: float) -> None:
    done = scored("broad", mode)
    result = headline(done, "inclination")
    print(f"{mode}: {result.values}", {r.recording: r.tally[1].round(2) for r in done.rows if r.part == "all"})
    assert result.recordings == len(list((REFERENCE / "broad").glob("*.parquet")))
    assert result.values["coverage"] == 1.0
    assert result.values["rmse_deg"] <= bar_deg


@pytest.mark.parametrize(("mode", "bar_deg"), [("online", 1.5), ("retro", 1.1)])
@pytest.mark.parametrize("options", [(), ("--neutral", "0.5:3", "--mount", "up=+x,anterior=-z")])
def test_anterior_tilt_on_a_pelvis(tmp_path: Path, mode: str, bar_deg: float, options: tuple[str, ...]) -> None:
    (path,) = (REFERENCE / "neura_pelvis").glob("*.parquet")
    process(tmp_path, [path], "--mode", mode, *options)
    truth = columns(path, "ref_tilt_deg", "ref_obliquity_deg")
    mine = columns(tmp_path / "samples.parquet", "anterior_tilt_deg", "obliquity_deg")
    error = (mine - truth).T
    tally = measures.tilt(error[0], error[1], np.isfinite(truth[:, 0]))
    figures = {f.name: float(f.of(tally)) for f in TILT.figures}
    print(f"{mode} {options}: {figures}")
    assert figures["coverage"] == 1.0
    assert figures["rmse_deg"] <= bar_deg


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["online", "retro"])
def test_every_recording_gives_complete_and_lawful_files(tmp_path: Path, mode: str) -> None:
    recordings = sorted(REFERENCE.glob("*/*.parquet"))
    assert len(recordings) >= 100
    process(tmp_path, recordings, "--mode", mode, "--start", "2026-03-02T08:00:00Z")
    for path in recordings:
        folder = tmp_path / path.stem
        assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)
        assert check_manifest(folder) == []
        samples = pq.read_table(folder / "samples.parquet")
        assert samples.schema.names == [f.name for f in SAMPLE]
        t = columns(path, "t_s")[:, 0]
        np.testing.assert_array_equal(samples["t_utc_ns"].to_numpy() - 1_772_438_400 * 10**9, np.rint(t * 1e9))
        q = columns(folder / "samples.parquet", "q_es_w", "q_es_x", "q_es_y", "q_es_z")
        np.testing.assert_allclose((q**2).sum(axis=1), 1.0, atol=1e-9)
        metrics = pq.read_table(folder / "metrics.parquet")
        assert metrics.schema.names == [f.name for f in METRIC]
        assert set(metrics["posture"].to_pylist()) <= set(POSTURES)
        for table, fields in ((metrics, METRIC), (pq.read_table(folder / "epochs.parquet"), EPOCH)):
            lawful(table, fields)
        # Complete seconds, once each, in order; the ones cut by the ends of the recording may or may not count.
        seconds = np.diff(metrics["t_utc_ns"].to_numpy())
        assert (seconds > 0).all()
        assert (seconds % 10**9 == 0).all()
        for line in (folder / "events.ndjson").read_text(encoding="utf-8").splitlines():
            assert list(json.loads(line)) == ["t_utc_ns", "event_id", "type", "rule", "data"]


def lawful(table: object, fields: tuple) -> None:
    """Values within the dictionary's range, null only where the dictionary says so."""
    for field in fields:
        column = table[field.name]
        assert field.null_means or column.null_count == 0, field.name
        values = [v for v in column.to_pylist() if v is not None]
        if field.low is not None and values:
            assert min(values) >= field.low, field.name
        if field.high is not None and values:
            assert max(values) <= field.high, field.name
