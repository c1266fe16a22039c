"""Samples that no body makes: spikes, a chip that wakes, a chip that is stuck; and fast motion that is real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processing.types import GRAVITY_MPS2
from sensor_gateway.recording.recording import read_recording
from tests.sensor_gateway.recording.test_recording import NAMES, refused, samples, write

Data = dict[str, np.ndarray]


def wild(rng: np.random.Generator, data: Data, rows: np.ndarray) -> None:
    """Anything within the range of the chip."""
    for name in NAMES:
        top = 16 * GRAVITY_MPS2 if name in NAMES[:3] else np.radians(2000.0)
        data[name][rows] = rng.uniform(-top, top, len(rows))


def test_spikes_become_missing_samples(tmp_path: Path) -> None:
    data = samples(3000)
    at = np.array([400, 900, 1500, 2222])
    data["gy"][at] += np.radians(1200.0)
    r = read_recording(write(tmp_path / "a.parquet", data))
    assert r.dropped["leaping"] == 4
    assert not np.isin(np.rint(at * 1e7).astype(np.int64), r.t_utc_ns).any()
    assert "4 rows turn faster for one sample than a body can" in "".join(r.warnings)


def test_a_chip_that_wakes_with_zeros_and_garbage_is_heard_from_its_first_good_sample(tmp_path: Path) -> None:
    left = 0
    for seed in range(20):
        data = samples(3000)
        for name in NAMES:
            data[name][:25] = 0.0
        wild(np.random.default_rng(seed), data, np.arange(25, 50))
        r = read_recording(write(tmp_path / "a.parquet", data))
        assert r.dropped["not_finite"] == 25
        left += 25 - r.dropped["leaping"]
        assert float(np.abs(r.gyr_rps[10:]).max()) < 1.0
    assert left <= 0.1 * 20 * 25  # garbage at its end may look like what follows


def test_taps_and_fast_turns_are_real(tmp_path: Path) -> None:
    data = samples(3000, 50.0)
    data["ax"][[500, 800]] += 12 * GRAVITY_MPS2  # knocked
    data["gz"] = np.radians(1000.0) * np.sin(2 * np.pi * 3.0 * data["t_s"])  # in the hand
    assert read_recording(write(tmp_path / "a.parquet", data)).dropped["leaping"] == 0


def test_numbers_in_another_unit_are_warned_about_and_not_thinned_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    data = samples(3000)
    for name in NAMES:
        data[name] = data[name] + 3000.0 * rng.standard_normal(3000)
    r = read_recording(write(tmp_path / "a.parquet", data))
    assert r.dropped["leaping"] == 0
    assert r.warnings


@pytest.mark.parametrize(("names", "what"), [(NAMES[3:], "angular rate"), (NAMES[:3], "acceleration")])
def test_a_quantity_that_never_changes_is_told(tmp_path: Path, names: tuple[str, ...], what: str) -> None:
    data = samples()
    for name in names:
        data[name][:] = data[name][3]
    r = read_recording(write(tmp_path / "a.parquet", data))
    assert f"{what} is the same in every sample: the sensor did not measure it" in "".join(r.warnings)


def test_no_acceleration_at_all_is_refused(tmp_path: Path) -> None:
    data = samples()
    for name in NAMES[:3]:
        data[name][:] = 0.0
    assert "0 usable of 1000 rows" in refused(write(tmp_path / "a.parquet", data))


@pytest.mark.parametrize("hz", [1.0, 1.5, 4.0])
def test_too_slow_a_sensor_is_refused(tmp_path: Path, hz: float) -> None:
    text = refused(write(tmp_path / "a.parquet", samples(200, hz)))
    assert f"only {hz:g} samples a second" in text


@pytest.mark.parametrize("hz", [5.0, 10.0, 1600.0])
def test_slow_and_fast_sensors_are_read(tmp_path: Path, hz: float) -> None:
    assert read_recording(write(tmp_path / "a.parquet", samples(round(20 * hz), hz))).rate_hz == pytest.approx(hz)
