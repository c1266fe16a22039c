"""The journal: exact round trips, order, compaction, bound, torn files, size and speed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor_gateway.drivers.base import Received
from sensor_gateway.spool import block
from sensor_gateway.spool.block import BlockError, Logged, Source
from sensor_gateway.spool.database import Spool, SpoolError, SpoolFullError
from sensor_gateway.spool.journal import CONTROL, DROPPED, Journal
from tests.cpu import least_cpu_s

OPEN = Source("open", 1)
UUID = "6e400003-0000-0000-0000-000000000001"
S = 1_000_000_000
T0 = 1_790_000_000 * S
GB = 10**9


def payload(i: int, rng: np.random.Generator) -> bytes:
    """Like a notification of ten samples: a header that counts, then noisy words."""
    head = i.to_bytes(4, "little") + bytes(16)
    return head + (rng.normal(0, 5, 60) + np.tile([0, 4096, 0, 0, 0, 0], 10)).astype("<i2").tobytes()


def entries(n: int, start: int = 0, seed: int = 1) -> list[tuple[Source, Received]]:
    rng = np.random.default_rng(seed)
    return [(OPEN, Received(UUID, payload(i, rng), 5 + i * S // 10, T0 + i * S // 10)) for i in range(start, start + n)]


def read_all(journal: Journal, sensor: str = "clip-1", from_seq: int = 1) -> list[Logged]:
    return [entry for part in journal.read(sensor, from_seq) for entry in part]


received = st.builds(
    Received,
    st.sampled_from(["a", "b", UUID]),
    st.binary(max_size=40),
    st.integers(0, 2**62),
    st.integers(0, 2**62),
)


# As the first release wrote it: 24 payloads of an open sensor, in differences within each payload.
VERSION_1 = bytes.fromhex(
    "960118c41428b52ffd24303d00000800010010392174168502c41928b52ffd24c06500001805010002002440090560010781ef2bc418"
    "28b52ffd24c05d00001004000200244009b5bb024493ee8e9196a46f70656e01a1752802c4ec28b52ffd64c002f50600f40900020406"
    "080a0c0e10121416181a1c1e20222426282a2c2e000e1c2a38465462707e8c9aa8b6c4d2e0eefc0a182634420001d0deecfa08162432"
    "404e5c6a788694a2b0beccdae8f6041207070707080909a0aebccad8e6f402101e2c3a48566472808e9caab8c6d4e20f10505e6c7a88"
    "96a4b21718404c5864707c8894a0acb8c4d0dce8f4000c1824303c48541f20f0fe0c1a28364452272806000600060038a8d1b63ccb8f"
    "07f085cd1120088240054440840437ca78ffcf6eeededdddbdbbbb770f7da7f89acc4b934e6099131088bca84b6ca9a480a5d7aafa69"
    "95d3179c"
)


def test_a_block_of_the_first_release_is_read() -> None:
    found = block.decode(VERSION_1, 100)
    for i, entry in enumerate(found):
        words = b"".join((1000 * k + i * 7 + j * 3).to_bytes(2, "little") for j in range(3) for k in range(6))
        assert entry == Logged(100 + i, OPEN, Received("u", bytes([i, 0, 0, 0]) + words, 5 + i, 9 + i))
    assert len(found) == 24


@pytest.mark.parametrize("width", [12, 14, 20, 36, 138, 139])
def test_samples_come_back_whatever_they_are(width: int) -> None:
    rng = np.random.default_rng(width)
    for table in (
        rng.integers(0, 256, (40, width), dtype=np.uint8),
        np.cumsum(rng.integers(-3, 4, (40, width // 2 + 1)), axis=0).astype("<i2").view(np.uint8)[:, :width],
        np.full((40, width), 255, np.uint8),
    ):
        items = [(OPEN, Received("u", row.tobytes(), i, i)) for i, row in enumerate(table)]
        assert [e.received for e in block.decode(block.encode(items), 1)] == [r for _, r in items]


@given(st.lists(st.tuples(st.sampled_from([OPEN, CONTROL, Source("other", 7)]), received), min_size=1, max_size=60))
def test_block_comes_back_exactly(items: list[tuple[Source, Received]]) -> None:
    assert [(e.source, e.received) for e in block.decode(block.encode(items), 9)] == items


@pytest.mark.parametrize("n", [3, 300])
def test_entries_of_one_kind_come_in_arrays(n: int) -> None:
    items = entries(n)
    (found,) = block.decode_frames(block.encode(items), 7)
    assert (len(found), found.next_seq) == (n, n + 7)
    assert [row.tobytes() for row in found.payloads] == [r.payload for _, r in items]
    assert block.entries_of(found) == [Logged(7 + i, *item) for i, item in enumerate(items)]
    assert [e.seq for e in block.entries_of(found.within(range(2, 9)))] == [7, 8]
    assert [e.seq for e in block.entries_of(found.within(range(9, 9 + n)))] == list(range(9, 7 + n))
    assert len(found.within(range(2, 7))) == len(found.within(range(7 + n, 90 + n))) == 0
    items[n // 2] = (CONTROL, items[n // 2][1])
    parts = block.decode_frames(block.encode(items), 7)
    assert len(parts) == 3
    assert [e for part in parts for e in block.entries_of(part)] == [
        Logged(7 + i, *item) for i, item in enumerate(items)
    ]


@given(st.integers(1, 40), st.integers(0, 80), st.randoms(use_true_random=False))
def test_the_difference_filter_is_exact(rows: int, width: int, rnd: random.Random) -> None:
    items = [(OPEN, Received("u", rnd.randbytes(2 * width), i, i)) for i in range(rows)]
    assert [e.received.payload for e in block.decode(block.encode(items), 1)] == [r.payload for _, r in items]


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused_not_misread(data: bytes) -> None:
    with pytest.raises(BlockError):
        block.decode(data, 1)


def test_a_flipped_bit_is_noticed() -> None:
    whole = bytearray(block.encode(entries(100)))
    whole[len(whole) // 2] ^= 1
    with pytest.raises(BlockError):
        block.decode(bytes(whole), 1)


def test_order_across_commits_compaction_and_reopening(tmp_path: Path) -> None:
    items = entries(2000)
    items[700] = (CONTROL, Received("control", b'{"link":"down"}', items[700][1].rx_mono_ns, items[700][1].rx_utc_ns))
    rng = random.Random(3)
    at = 0
    while at < len(items):
        spool = Spool(tmp_path / "spool.db")
        journal = Journal(spool, GB)
        assert journal.last_seq("clip-1") == at
        for _ in range(rng.randrange(1, 300)):
            n = rng.choice([1, 1, 1, 2, 5])
            assert journal.append("clip-1", items[at : at + n], durable=False) == at + 1
            at = min(at + n, len(items))
        spool.close()
    spool = Spool(tmp_path / "spool.db")
    journal = Journal(spool, GB)
    got = read_all(journal)
    assert [e.seq for e in got] == list(range(1, 2001))
    assert [(e.source, e.received) for e in got] == items
    for start in (1, 2, 599, 601, 1200, 1999, 2000):
        assert [e.seq for e in read_all(journal, from_seq=start)] == list(range(start, 2001))
        frames = [e for part in journal.read_frames("clip-1", start) for e in block.entries_of(part)]
        assert frames == read_all(journal, from_seq=start)
    assert read_all(journal, from_seq=2001) == []
    assert spool.query("SELECT count(*) FROM journal WHERE NOT small")[0][0] >= 3
    assert journal.size_bytes == spool.query("SELECT sum(length(block)) FROM journal")[0][0]
    assert journal.last_rx_utc_ns("clip-1") == items[-1][1].rx_utc_ns


def test_sensors_have_their_own_sequences(tmp_path: Path) -> None:
    journal = Journal(Spool(tmp_path / "spool.db"), GB)
    for i in range(10):
        journal.append("a", entries(1, i), durable=False)
        journal.append("b", entries(2, 2 * i), durable=True)
    assert [e.seq for e in read_all(journal, "a")] == list(range(1, 11))
    assert [e.seq for e in read_all(journal, "b")] == list(range(1, 21))
    assert read_all(journal, "c") == []
    assert journal.last_rx_utc_ns("c") is None


def test_bound_drops_the_oldest_and_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    journal = Journal(spool, 400_000)
    for i in range(20):
        journal.append("clip-1", entries(1200, i * 1200, seed=i), durable=False)
        assert journal.size_bytes <= 400_000
    got = read_all(journal)
    assert got[-1].seq == 24_000
    assert got[0].seq == spool.counters()[DROPPED] + 1 > 1
    assert [e.seq for e in got] == list(range(got[0].seq, 24_001))


def test_a_tiny_bound_keeps_the_newest_block_and_the_count_goes_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    Journal(spool, 1).append("clip-1", entries(3000), durable=True)
    again = Journal(spool, 1)
    assert again.append("clip-1", entries(1, 3000), durable=True) == 3001


def test_a_torn_log_costs_only_the_newest_commits(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    journal = Journal(spool, GB)
    items = entries(200)
    for item in items:
        journal.append("clip-1", [item], durable=False)
    wal = (tmp_path / "spool.db-wal").stat().st_size
    for cut in (0, 1, wal // 3, wal // 2, wal - 1):
        torn = tmp_path / f"torn{cut}"
        torn.mkdir()
        shutil.copy(tmp_path / "spool.db", torn / "spool.db")
        (torn / "spool.db-wal").write_bytes((tmp_path / "spool.db-wal").read_bytes()[:cut])
        got = read_all(Journal(Spool(torn / "spool.db"), GB))
        assert [e.seq for e in got] == list(range(1, len(got) + 1))
        assert [(e.source, e.received) for e in got] == items[: len(got)]


def test_kill_9_loses_no_committed_entry(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from tests.sensor_gateway.spool.test_journal import Journal, Spool, entries\n"
        "j = Journal(Spool(sys.argv[1]), 10**9)\n"
        "for i in range(10**9):\n"
        "    j.append('clip-1', entries(1, j.last_seq('clip-1')), durable=False)\n"
        "    print(j.last_seq('clip-1'), flush=True)\n"
    )
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", script, tmp_path / "spool.db"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(150)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        said = int([line for line in lines if line.endswith(b"\n")][-1])
        spool = Spool(tmp_path / "spool.db")
        got = read_all(Journal(spool, GB))
        spool.close()
        assert len(got) >= said
        assert [e.received.payload[:4] for e in got] == [i.to_bytes(4, "little") for i in range(len(got))]


def test_a_full_disk_is_said_and_harms_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    journal = Journal(spool, GB)
    journal.append("clip-1", entries(100), durable=True)
    pages = spool.query("PRAGMA page_count")[0][0]
    spool.query(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(SpoolFullError, match="free space on this disk"):
        journal.append("clip-1", entries(2000, 100), durable=True)
    assert len(read_all(journal)) == 100
    spool.query("PRAGMA max_page_count = 1000000")
    assert journal.append("clip-1", entries(1, 100), durable=True) == 101


def test_one_gateway_per_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    with pytest.raises(SpoolError, match="another 'tiltline run'"):
        Spool(tmp_path / "spool.db")
    spool.close()
    again = Spool(tmp_path / "spool.db")
    assert again.id == spool.id
    again.close()
    (tmp_path / "junk.db").write_bytes(b"junk" * 1000)
    with pytest.raises(SpoolError, match="it is damaged: keep it"):
        Spool(tmp_path / "junk.db")


def test_a_day_is_small_and_cheap(tmp_path: Path) -> None:
    """Ten minutes of noisy frames stand for a day: well under 60 MB and 15 us a payload."""
    items = entries(6000)
    journals = [Journal(Spool(tmp_path / f"spool-{n}.db"), GB) for n in range(3)]
    left = iter(journals)

    def write() -> None:
        journal = next(left)
        for i in range(0, 6000, 3000):
            journal.append("clip-1", items[i : i + 3000], durable=False)

    spent = least_cpu_s(write, len(journals))
    journal = journals[0]
    assert journal.size_bytes * 144 <= 60e6
    assert spent / 6000 <= 15e-6 * 3  # three times the aim: other work shares these cores


def test_sensors_that_begin_together_are_not_compacted_together(tmp_path: Path) -> None:
    """Hundreds of sensors in one second would hold up every record of that second."""
    spool, sensors = Spool(tmp_path / "spool.db"), [f"clip-{i}" for i in range(40)]
    journal = Journal(spool, GB)
    compact, at_once = 0, 0
    for second in range(150):
        with spool.together():
            for sensor in sensors:
                journal.append(sensor, entries(10, 10 * second), durable=True)
        before, compact = compact, spool.query("SELECT count(*) FROM journal WHERE NOT small")[0][0]
        at_once = max(at_once, compact - before)
    assert compact >= 2 * len(sensors) - 2
    assert at_once <= len(sensors) // 4
    assert [e.seq for e in read_all(journal, "clip-7")] == list(range(1, 1501))
