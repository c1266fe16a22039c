"""The search for moved clips in a recording of 100 Hz, which works on means of two samples: the bar of `test_alignment_reference.py`
again, through `find_mounts`. People were recorded at 50 Hz: a straight line between samples doubles the rate.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.alignment.auto import auto_mount, survey
from processing.alignment.static import Alignment, align, parse_mount
from processing.batch import blocks
from processing.mount_search import find_mounts
from processing.types import F64, TimedBatch
from tests.processing.alignment_chain import MOUNT, neutral, recording
from tests.validation.test_alignment_reference import level_axis, needs_reference, read, recordings

RATE = 100.0


def reasons(batch: TimedBatch, alignment: Alignment) -> list[tuple[str, int]]:
    return [(m.note.reason, m.note.found_utc_ns) for m in find_mounts(blocks(batch), RATE, alignment)]


def doubled(batch: TimedBatch) -> TimedBatch:
    t = batch.t_utc_ns
    dense = np.sort(np.concatenate([t, (t[:-1] + t[1:]) // 2]))

    def between(x: F64) -> F64:
        return np.column_stack([np.interp(dense, t, x[:, i]) for i in range(3)])

    return TimedBatch(dense, between(batch.acc_mps2), between(batch.gyr_rps))


def tipped(up: tuple[float, float, float], rng: np.random.Generator) -> F64:
    return Rotation.from_rotvec(np.radians(15.0) * level_axis(up, rng)).as_matrix()


@pytest.mark.reference
@pytest.mark.slow
@needs_reference
@pytest.mark.timeout(900)
def test_a_slip_between_two_walks_is_found_on_people_at_half_the_rate() -> None:
    rng = np.random.default_rng(15)
    alarms, found, total = 0, 0, 0
    for path in recordings("hapt"):
        batch, data, _ = read(path)
        level = np.flatnonzero(data["label"] == 1)
        bouts = np.split(level, np.flatnonzero(np.diff(level) > 50) + 1)
        mount = auto_mount(survey(blocks(batch), 50.0))
        assert not isinstance(mount, str)
        alignment = align(mount.mount, None, given=True, mount_id="mount-1", t_utc_ns=0)
        alarms += sum(reason == "slip" for reason, _ in reasons(doubled(batch), alignment))
        k = len(bouts) // 2
        at = (bouts[k - 1][-1] + bouts[k][0]) // 2
        turn = tipped(mount.mount.up, rng)
        slipped = TimedBatch(
            batch.t_utc_ns,
            np.vstack([batch.acc_mps2[:at], batch.acc_mps2[at:] @ turn.T]),
            np.vstack([batch.gyr_rps[:at], batch.gyr_rps[at:] @ turn.T]),
        )
        slips = [t for reason, t in reasons(doubled(slipped), alignment) if reason == "slip"]
        total += 1
        found += bool(slips) and slips[0] > batch.t_utc_ns[at]
    print(f"hapt at 100 Hz: {found} of {total} slips found; {alarms} false alarms without one")
    assert found >= 0.9 * total
    assert alarms <= 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_simulated_days_at_half_the_rate() -> None:
    alarms = 0
    for seed in range(1, 6):
        _, batch = recording(16.0, seed=seed, rate_hz=RATE)
        alarms += sum(reason in {"slip", "gap", "handled"} for reason, _ in reasons(batch, neutral(batch, RATE)))
    rng, found, total = np.random.default_rng(6), 0, 20
    for i in range(total):
        turn = tipped(parse_mount(MOUNT).up, rng)
        _, batch = recording(2.0, seed=10 + i, rate_hz=RATE, turn=turn, turn_from_s=1500.0)
        told = reasons(batch, neutral(batch, RATE))
        found += bool(told) and told[0][0] == "slip"
    print(f"five days at 100 Hz: {alarms} false alarms; {found} of {total} slips found before anything else was told")
    assert alarms <= 1
    assert found >= 0.9 * total
