"""Epochs of ten seconds and of a minute: the plain statistics of what was judged, however the seconds came."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.changes import MinuteChanges
from processing.epochs import MinuteEpochs, RuleEpochs
from processing.judged import Seconds
from processing.snapshot import dump, load
from processing.types import POSTURE_CODE, POSTURES, Epoch, RuleEpoch
from processing.unfrozen import open_twin

UPRIGHT = ("standing", "walking", "running", "stairs")
RATE_HZ = 5.0
SECOND0 = 1_700_000_040  # a full minute


def judged(seed: int, n: int) -> Seconds:
    """Seconds with up to five rows each and a posture that stays for some of them; some are missing."""
    rng = np.random.default_rng(seed)
    second = SECOND0 + np.sort(rng.choice(n + n // 8, n, replace=False))
    posture = rng.integers(0, len(POSTURES), n)[np.cumsum(rng.random(n) < 0.15)]
    rows = rng.integers(0, 6, n)
    tilt, obliquity = rng.normal(0, 9, (2, int(rows.sum())))
    at = [0, *np.cumsum(rows).tolist()]
    confidence, shaken = rng.random(n).tolist(), (rng.random(n) < 0.3).tolist()
    settling = (rng.random(n) < 0.02).astype(int).tolist()
    return Seconds(
        second.tolist(), posture.tolist(), confidence, rows.tolist(), settling, shaken, at, tilt, obliquity, tilt.copy()
    )


def rows_of(s: Seconds, where: list[int], angle: str) -> list[float]:
    return [x for i in where for x in getattr(s, angle)[s.at[i] : s.at[i + 1]].tolist()]


def expected_epoch(s: Seconds, k: int) -> RuleEpoch:
    mine = [i for i, second in enumerate(s.second) if second // 10 == k]
    codes = [s.posture[i] for i in mine]
    code = max(sorted(set(codes)), key=codes.count)
    mine = [i for i in mine if s.posture[i] == code]
    angles = [rows_of(s, mine, a) if POSTURES[code] in UPRIGHT else [] for a in ("tilt_deg", "obliquity_deg")]
    tilt, obliquity = (round(abs(x) * 1000) if x is not None else None for x in map(median, angles))
    if tilt is not None and median(angles[0]) < 0:
        tilt = -tilt
    n = len(mine)
    return RuleEpoch(
        k,
        min(1000, round(1000 * sum(s.valid[i] for i in mine) / 40)),
        POSTURES[code],
        round(1000 * sum(s.confidence[i] for i in mine) / n),
        tilt,
        obliquity,
        any(s.settling[i] for i in mine),
        "m",
        "a",
        round(1000 * sum(s.shaken[i] for i in mine) / n),
    )


def median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.lists(st.integers(1, 299), max_size=5))
def test_epochs_are_the_plain_statistics_of_their_seconds(seed: int, cuts: list[int]) -> None:
    all_ = judged(seed, 300)
    ten, minutes = RuleEpochs(RATE_HZ, UPRIGHT), MinuteEpochs(RATE_HZ)
    epochs: list[RuleEpoch] = []
    told: list[Epoch] = []
    edges = sorted({0, 300, *cuts})
    for a, b in zip(edges, edges[1:], strict=False):
        part = Seconds.restored(all_.part(a, b).plain())
        begins = [i for i in range(b - a) if not i or part.second[i] // 10 != part.second[i - 1] // 10]
        epochs += [epoch for _, epoch in ten.take(part, begins, "m", "a")]
        for i, j in zip(begins, [*begins[1:], b - a], strict=True):
            if minutes.closing(part.second[i]) is not None:
                told += minutes.close(part.second[i], None, MinuteChanges())
            minutes.take(part, i, j)
        fresh = RuleEpochs(RATE_HZ, UPRIGHT), MinuteEpochs(RATE_HZ)
        for new, old in zip(fresh, (ten, minutes), strict=True):
            new.restore(load(dump(old.snapshot())))
        ten, minutes = fresh
    last = ten.close("m", "a")
    assert last is not None
    assert [*epochs, last] == [expected_epoch(all_, k) for k in sorted({s // 10 for s in all_.second})]
    for epoch in [*told, *minutes.close(None, None, None)]:
        mine = [i for i, second in enumerate(all_.second) if second // 60 == epoch.t_utc_ns // 60_000_000_000]
        counts = [getattr(epoch, f"{name}_s") for name in POSTURES]
        assert counts == [sum(all_.posture[i] == code for i in mine) for code in range(len(POSTURES))]
        lain = {POSTURE_CODE["lying"], POSTURE_CODE["not_worn"]}
        tilts = rows_of(all_, [i for i in mine if all_.posture[i] not in lain], "tilt_deg")
        if not tilts:
            assert epoch.tilt_mean_deg is epoch.tilt_p5_deg is epoch.tilt_sd_deg is None
            continue
        got = [epoch.tilt_p5_deg, epoch.tilt_median_deg, epoch.tilt_p95_deg, epoch.tilt_mean_deg, epoch.tilt_sd_deg]
        assert got == pytest.approx([*np.quantile(tilts, (0.05, 0.5, 0.95)), np.mean(tilts), np.std(tilts)])


def test_a_record_made_as_its_open_twin_is_as_any_other() -> None:
    twin = open_twin(RuleEpoch)(1, 900, "standing", 800, 5, 6, False, "m", "a", 0)
    twin.__class__ = RuleEpoch
    plain = RuleEpoch(1, 900, "standing", 800, 5, 6, False, "m", "a")
    assert twin == plain
    assert (repr(twin), hash(twin)) == (repr(plain), hash(plain))
    assert [f.name for f in fields(twin)] == [f.name for f in fields(plain)]
    with pytest.raises(FrozenInstanceError):
        twin.k = 2
