"""Offsets and corrections: a file that only grows, survives a torn line and two writers, and answers as of any time."""

from __future__ import annotations

import multiprocessing
from bisect import bisect_right
from pathlib import Path

import numpy as np
import pytest

from processing.alignment.offset import PelvicOffset
from processing.alignment.static import align, parse_mount
from processing.types import NS_PER_S, Event
from sensor_gateway.alignments.absolute_tilt import NeutralTimes, absolute_columns, offsets_by_time
from sensor_gateway.alignments.notes import (
    FILE,
    Correction,
    NotesError,
    append,
    corrections_of,
    offset_at,
    offset_note,
    read_notes,
)


def enter(folder: Path, angle: float, date: int, now: int, wearer: str = "w-001") -> None:
    offset = PelvicOffset(angle, "caliper", "th-03", date)
    append(folder, lambda version: offset_note(version, now, wearer, offset))


def test_the_latest_date_holds_and_a_second_entry_of_a_date_replaces_the_first(tmp_path: Path) -> None:
    assert read_notes(tmp_path) == []
    for angle, date, now in ((12.5, 100, 1000), (14.0, 300, 1001), (11.0, 100, 1002)):
        enter(tmp_path, angle, date, now)
    enter(tmp_path, 3.0, 100, 1003, "w-002")
    notes = read_notes(tmp_path)
    assert [n.version for n in notes] == [1, 2, 3, 4]

    def angle_at(t: int, as_of: int | None = None) -> float | None:
        found = offset_at(notes, "w-001", t, as_of)
        return None if found is None else found.offset.angle_deg

    assert [angle_at(t) for t in (99, 100, 299, 300)] == [None, 11.0, 11.0, 14.0]
    assert angle_at(150, as_of=1001) == 12.5
    by_time = offsets_by_time(notes, "w-001")
    for t in (0, 99, 100, 299, 300, 10**18):
        assert by_time.used[bisect_right(by_time.dates, t)] == offset_at(notes, "w-001", t)


def test_a_torn_line_was_never_entered(tmp_path: Path) -> None:
    enter(tmp_path, 12.5, 100, 1000)
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"v":1,"kind":"off')
    assert len(read_notes(tmp_path)) == 1
    enter(tmp_path, 11.0, 100, 1001)
    assert [n.version for n in read_notes(tmp_path)] == [1, 2]


@pytest.mark.parametrize("line", [b"{}", b"[]", b'{"v":9}', b"\xff"])
def test_a_damaged_file_is_refused_naming_the_line(tmp_path: Path, line: bytes) -> None:
    enter(tmp_path, 12.5, 100, 1000)
    with (tmp_path / FILE).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(NotesError, match="line 2"):
        read_notes(tmp_path)
    with pytest.raises(NotesError, match="line 2"):
        enter(tmp_path, 12.5, 100, 1000)


def test_a_lost_line_shows(tmp_path: Path) -> None:
    for now in (1, 2):
        enter(tmp_path, 12.5, 100, now)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(NotesError, match="version 2"):
        read_notes(tmp_path)


def test_a_clock_that_went_back_is_told(tmp_path: Path) -> None:
    enter(tmp_path, 12.5, 100, 1000)
    with pytest.raises(NotesError, match="clock"):
        enter(tmp_path, 12.5, 100, 999)


def test_a_name_is_no_pseudonym() -> None:
    for rater in ("Jane Doe", "th 3", "x" * 33):
        with pytest.raises(NotesError, match="pseudonym"):
            offset_note(1, 0, "w-001", PelvicOffset(12.5, "caliper", rater, 0))


def _many(folder: Path, wearer: str) -> None:
    for _ in range(25):
        enter(folder, 10.0, 0, 0, wearer)


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=_many, args=(tmp_path, w)) for w in ("w-001", "w-002")]
    for p in both:
        p.start()
    for p in both:
        p.join(60)
        assert p.exitcode == 0
    notes = read_notes(tmp_path)
    assert [n.version for n in notes] == list(range(1, 51))
    assert sum(n.wearer == "w-001" for n in notes) == 25


def test_the_last_correction_of_an_instant_counts(tmp_path: Path) -> None:
    for axes in ("up=-x,anterior=-z", "up=+x,anterior=+z"):
        a = align(parse_mount(axes), None, given=True, mount_id="mount-1", t_utc_ns=7)
        append(tmp_path, lambda v, a=a: Correction(v, v, "w-001", "clip-1", "given-1", a, {"mount": "x"}, "turned"))
    notes = read_notes(tmp_path)
    assert notes[1].note == "turned"
    assert corrections_of(notes, "clip-2") == {}
    assert corrections_of(notes, "clip-1") == {7: a}


def test_absolute_tilt_is_missing_where_it_means_nothing(tmp_path: Path) -> None:
    enter(tmp_path, 12.5, 2 * NS_PER_S, 0)
    said = {"outcome": "in force", "r_ps": []}
    events = [
        Event(0, "a", "alignment", None, {**said, "method": "nominal"}),
        Event(3 * NS_PER_S, "b", "alignment", None, {**said, "method": "static"}),
        Event(4 * NS_PER_S, "c", "alignment", None, {"outcome": "refused"}),
        Event(6 * NS_PER_S, "d", "alignment", None, {**said, "method": "suspended"}),
    ]
    t = np.arange(8) * NS_PER_S
    tilt = np.where(np.arange(8) == 4, np.nan, 1.0)
    offsets = offsets_by_time(read_notes(tmp_path), "w-001")
    found = absolute_columns(t, tilt, np.full(8, 2.0), offsets, NeutralTimes(events).holds(t))
    expected = [np.nan, np.nan, np.nan, 13.5, np.nan, 13.5, np.nan, np.nan]
    np.testing.assert_array_equal(found["anterior_tilt_abs_deg"], expected)
    assert found["tilt_abs_uncertainty_deg"][3] == pytest.approx((2.0**2 + 2.5**2) ** 0.5)
    assert found["offset_version"] == [None, None, 1, 1, 1, 1, 1, 1]
