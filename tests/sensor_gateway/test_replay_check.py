"""Stores know which versions wrote them, and a check that finds differences says what that has to do with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from processing.types import NS_PER_S, Metric
from sensor_gateway.replay.check import check
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.makers import COMPUTING, Maker, installed
from sensor_gateway.sinks.store import Store

T0 = 1_790_000_040 * NS_PER_S
HERE = installed(*COMPUTING)


def filled(path: Path, tilt_deg: float) -> Store:
    store = Store.open(path)
    store.write([Owned("w-001", "clip-1", Metric(T0, tilt_deg, 0.1, 2.0, "standing", 0.9, 1.0, 0.8))])
    return store


def test_each_version_signs_once_and_in_order(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db")
    for at, version in ((5, "1"), (6, "1"), (7, "2"), (3, "3")):  # the last one's clock was set back
        store.sign(at, {"tiltline": version})
    assert store.makers() == [Maker(5, {"tiltline": "1"}), Maker(7, {"tiltline": "2"}), Maker(8, {"tiltline": "3"})]
    store.close()
    with_records = filled(tmp_path / "old.db", 1.0)
    with_records.sign(9, {"tiltline": "1"})
    assert with_records.makers() == [Maker(0, {}), Maker(9, {"tiltline": "1"})]
    with_records.close()


@pytest.mark.parametrize(
    ("signed", "said"),
    [
        ([HERE], f"with the same version (tiltline {HERE['tiltline']})"),
        ([HERE | {"tiltline": "0.0.9"}], f"stored by tiltline 0.0.9, this is tiltline {HERE['tiltline']}."),
        ([HERE | {"numpy": "1.0"}, HERE], f"some stored by numpy 1.0, this is numpy {HERE['numpy']}."),
        ([], "an earlier release stored some of them"),
    ],
)
def test_a_difference_is_put_down_to_its_version(tmp_path: Path, signed: list[dict[str, str]], said: str) -> None:
    stored = Store.open(tmp_path / "stored.db")
    for at, versions in enumerate(signed):
        stored.sign(at, versions)
    stored.close()
    stored, replayed = filled(tmp_path / "stored.db", 1.0), filled(tmp_path / "replayed.db", 1.5)
    replayed.sign(T0, HERE, {"name": "again"})
    checked = check(stored, replayed, {"w-001": ["clip-1"]})
    assert not checked.same
    assert checked.sentence().startswith("1 records differ")
    assert said in checked.sentence()
    for store in (stored, replayed):
        store.close()
