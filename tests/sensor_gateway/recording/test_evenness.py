"""Stamps that wander: an even sensor's own times are found again, losses stay losses, and angles stay right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from processing.types import GRAVITY_MPS2
from sensor_gateway import cli
from sensor_gateway.recording.checks import rate_of
from sensor_gateway.recording.evenness import even_times
from sensor_gateway.recording.recording import read_recording

F = np.ndarray


def stamps(t_ns: F) -> F:
    """In order and each its own, as a file has them."""
    t = np.sort(t_ns).astype(np.int64)
    rank = np.arange(len(t))
    return np.maximum.accumulate(t - rank) + rank


def with_loss(rng: np.random.Generator, hz: float, count: int, share: float, size: int) -> F:
    """Times [ns] of an even sensor of whose packets a share is lost."""
    lost = np.repeat(rng.uniform(size=count // size + 1) < share, size)[:count]
    return (np.arange(count) / hz * 1e9)[~lost]


@pytest.mark.parametrize("hz", [50.0, 104.0, 285.7, 400.0])
@pytest.mark.parametrize(("share", "size"), [(0.0, 1), (0.01, 1), (0.05, 8)])
def test_stamps_wrong_by_up_to_five_milliseconds_are_evened(hz: float, share: float, size: int) -> None:
    rng = np.random.default_rng(round(hz) + size)
    true = with_loss(rng, hz, 12_000, share, size)
    even = even_times(stamps(true + rng.uniform(0.0, 10e6, len(true))))
    assert even is not None
    assert (np.diff(even) > 0).all()
    off_ms = (even - true) / 1e6
    assert np.std(off_ms) < 1.2  # stamps: up to 2.9
    assert rate_of(even) == pytest.approx(hz, rel=0.006)


def test_bursts_dated_by_their_arrival_are_spread_and_lost_ones_stay_holes() -> None:
    rng = np.random.default_rng(4)
    true = with_loss(rng, 100.0, 12_000, 0.05, 10)
    arrived = np.ceil((true + 1.0) / 1e8) * 1e8 + (true % 1e8) / 1e3  # ten samples within 0.1 ms of each other
    even = even_times(stamps(arrived))
    assert even is not None
    assert rate_of(even) == pytest.approx(100.0, rel=0.002)
    assert np.array_equal(np.rint(np.diff(even) / 1e7), np.rint(np.diff(true) / 1e7))


@pytest.mark.parametrize("kind", ["even", "lost", "much lost", "rounded", "two rates", "few"])
def test_even_stamps_are_left_alone(kind: str) -> None:
    rng = np.random.default_rng(2)
    t = {
        "even": np.arange(5000) * 1e7,
        "lost": with_loss(rng, 100.0, 5000, 0.05, 8),
        "much lost": with_loss(rng, 100.0, 5000, 0.3, 1),
        "rounded": np.floor(np.arange(5000) / 104.0 * 1e3) * 1e6,
        "two rates": np.concatenate((np.arange(2500) * 1e7, 25e9 + np.arange(2500) * 2e7)),
        "few": np.sort(rng.uniform(0.0, 1e9, 100)),
    }[kind]
    assert even_times(t.astype(np.int64)) is None


def write_turning(path: Path, stamped_s: F, t_s: F) -> F:
    """A clip that rocks by 40 deg, 0.7 times a second, with lively shaking that gravity cannot be seen through; its tilt [deg]."""
    w = 2 * np.pi * 0.7
    tilt = np.radians(40.0) * np.sin(w * t_s)
    rate = np.radians(40.0) * w * np.cos(w * t_s)
    shake = 4.0 * np.sin(2 * np.pi * 1.9 * t_s)
    # Up is +x, front -z (the usual mount); leaning forward turns up towards the back, +z.
    acc = np.column_stack((np.cos(tilt) * GRAVITY_MPS2, np.zeros(len(t_s)), np.sin(tilt) * GRAVITY_MPS2 + shake))
    rows = np.column_stack((stamped_s, acc, np.zeros(len(t_s)), rate, np.zeros(len(t_s))))
    np.savetxt(path, rows, delimiter=",", header="t_s,ax,ay,az,gx,gy,gz", comments="", fmt="%.9f")
    return np.degrees(tilt)


def test_angles_do_not_suffer_and_results_keep_the_times_of_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    t_s = np.arange(6000) / 200.0
    late_s = stamps((t_s + rng.uniform(0.0, 0.01, len(t_s))) * 1e9) / 1e9
    error = {}
    for name, stamped in (("even", t_s), ("wandering", late_s)):
        path = tmp_path / f"{name}.csv"
        write_turning(path, stamped, t_s)
        assert cli.main(["process", str(path), "--out", str(tmp_path / name)]) == 0
        samples = pq.read_table(tmp_path / name / "samples.parquet")
        assert np.array_equal(samples["t_utc_ns"].to_numpy(), np.rint(np.round(stamped, 9) * 1e9).astype(np.int64))
        error[name] = samples["anterior_tilt_deg"].to_numpy()
    assert np.max(np.abs(np.abs(error["even"]) - np.abs(error["wandering"]))) < 0.5
    recording = read_recording(tmp_path / "wandering.csv")
    assert recording.rate_hz == pytest.approx(200.0, rel=0.002)
    assert "the times wander by" in "".join(recording.warnings)
    assert np.array_equal(recording.file_times_ns, np.rint(np.round(late_s, 9) * 1e9).astype(np.int64))
    assert read_recording(tmp_path / "even.csv").stamped_ns is None
