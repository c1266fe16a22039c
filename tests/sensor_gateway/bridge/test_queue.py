"""The bridge's queue: what may be said to a gateway, after any order of arrivals, repeats, losses and crashes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from processing.types import Metric
from sensor_gateway.bridge.intake import sort_out
from sensor_gateway.bridge.queue import Bad, BridgeQueue, Good, QueueError, Word
from sensor_gateway.mqtt_link import Incoming
from sensor_gateway.wire import topics
from sensor_gateway.wire.messages import Entry, encode_message, encode_record

SPOOL = "0123456789abcdef"
S = 10**9


def arrival(
    seq: int, after: int | None = None, floor: int = 1, gateway: str = "gw-1", spool: str = SPOOL, coverage: float = 1.0
) -> Good | Bad:
    metric = Metric(10**18 + seq * S, 1.0, 0.1, 1.5, "standing", 0.9, coverage, 0.8)
    entry = Entry(
        seq,
        seq - 1 if after is None else after,
        floor,
        "w-001",
        "clip-1",
        "metric",
        metric.t_utc_ns,
        encode_record(metric),
    )
    payload = encode_message(entry, "home", gateway, spool)
    return sort_out(Incoming(topics.record("home", gateway, "w-001", "metric"), payload, seq, 1))


def settle_all(queue: BridgeQueue) -> None:
    queue.settle([row.id for row in queue.take(10**6)], [])


def up_to(queue: BridgeQueue) -> int:
    return queue.words()[0].up_to


@pytest.fixture
def queue(tmp_path: Path) -> BridgeQueue:
    return BridgeQueue(tmp_path / "bridge.db")


def test_the_word_follows_the_database_not_the_arrival(queue: BridgeQueue) -> None:
    queue.receive([arrival(1), arrival(2), arrival(3)])
    assert up_to(queue) == 0
    rows = queue.take(2)
    queue.settle([rows[0].id], [])
    assert up_to(queue) == 1
    queue.settle([], [(rows[1].id, "field type conflict")])
    assert up_to(queue) == 2
    settle_all(queue)
    assert up_to(queue) == 3
    counters = queue.counters()
    assert counters.pop("dead_letter_bytes") == len(rows[1].line)
    assert counters == {
        "received": 3,
        "written": 2,
        "rejected": 1,
        "dropped": 0,
        "duplicates": 0,
        "requeued": 0,
        "early": 0,
        "queued": 0,
        "dead_letters": 1,
    }


def test_a_lost_message_holds_the_word_back_until_it_comes_again(queue: BridgeQueue) -> None:
    queue.receive([arrival(1), arrival(3), arrival(4)])
    settle_all(queue)
    assert up_to(queue) == 1
    queue.receive([arrival(2), arrival(3), arrival(4)])
    assert up_to(queue) == 1
    settle_all(queue)
    assert up_to(queue) == 4
    assert queue.counters()["duplicates"] == 2


def test_what_the_gateway_dropped_is_no_hole(queue: BridgeQueue) -> None:
    queue.receive([arrival(5, after=2, floor=3), arrival(9, after=5, floor=3)])
    settle_all(queue)
    assert up_to(queue) == 9


def test_a_repeat_may_close_a_hole(queue: BridgeQueue) -> None:
    queue.receive([arrival(1), arrival(3)])
    settle_all(queue)
    assert up_to(queue) == 1
    queue.receive([arrival(3, after=1)])  # its sender has dropped 2 meanwhile
    assert up_to(queue) == 3


def test_a_queue_that_was_lost_learns_from_the_floor(queue: BridgeQueue) -> None:
    queue.receive([arrival(701, after=700, floor=701)])
    assert up_to(queue) == 700
    settle_all(queue)
    assert up_to(queue) == 701


def test_a_replaced_spool_counts_anew(queue: BridgeQueue) -> None:
    queue.receive([arrival(i) for i in range(1, 11)])
    settle_all(queue)
    other = "f" * 16
    queue.receive([arrival(1, spool=other), arrival(1, gateway="gw-2")])
    words = {w.gateway: w for w in queue.words()}
    assert words["gw-1"] == Word("home", "gw-1", other, 0)
    assert words["gw-2"] == Word("home", "gw-2", SPOOL, 0)
    settle_all(queue)
    assert {w.gateway: w.up_to for w in queue.words()} == {"gw-1": 1, "gw-2": 1}
    assert queue.counters()["duplicates"] == 0


def test_a_bad_record_is_set_aside_and_does_not_block(queue: BridgeQueue) -> None:
    queue.receive([arrival(1), arrival(2, coverage=9.0), arrival(3)])
    queue.receive([arrival(2, coverage=9.0)])
    settle_all(queue)
    assert up_to(queue) == 3
    junk = Incoming("tiltline/v1/home/gw-1/w-001/metric", b"\xff\x00", 1, 1)
    queue.receive([sort_out(junk)])
    queue.receive([sort_out(junk)])
    counters = queue.counters()
    assert (counters["received"], counters["written"], counters["rejected"], counters["duplicates"]) == (4, 2, 2, 2)
    assert queue.letters()[0].reason.split(":")[0] == "metric"


def test_a_message_cannot_speak_for_another_wearer_or_gateway() -> None:
    good = arrival(1)
    assert isinstance(good, Good)
    entry = Entry(1, 0, 1, "w-001", "clip-1", "metric", good.message.t_utc_ns, bytes(good.message.data))
    payload = encode_message(entry, "home", "gw-1", SPOOL)
    assert isinstance(sort_out(Incoming(topics.record("home", "gw-1", "w-001", "metric"), payload, 1, 1)), Good)
    for topic in (
        topics.record("home", "gw-1", "w-002", "metric"),
        topics.record("home", "gw-2", "w-001", "metric"),
        topics.record("clinic", "gw-1", "w-001", "metric"),
        topics.record("home", "gw-1", "w-001", "epoch"),
    ):
        spoofed = sort_out(Incoming(topic, payload, 1, 1))
        assert isinstance(spoofed, Bad), topic
        assert (spoofed.kind, "its topic does not" in spoofed.reason) == ("speaker", True)
        assert spoofed.message is None  # so it cannot move that gateway's word either


@pytest.mark.parametrize("seed", range(5))
def test_random_losses_repeats_and_crashes_end_exact(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    queue = BridgeQueue(tmp_path / "bridge.db")
    written: list[str] = []
    lost_writes = 0
    confirmed = 0
    while confirmed < 60:
        floor = confirmed + 1
        batch = [arrival(i, floor=floor) for i in range(floor, min(floor + 20, 61)) if rng.random() < 0.8]
        rng.shuffle(batch)
        for one in batch:
            queue.receive([one])
        rows = queue.take(rng.randrange(1, 30))
        written += [row.line for row in rows]
        if rng.random() < 0.3:  # killed after the write, before it was noted
            lost_writes += len(rows)
            queue.close()
            queue = BridgeQueue(tmp_path / "bridge.db")
        else:
            queue.settle([row.id for row in rows], [])
        said = up_to(queue) if queue.words() else 0
        assert said >= confirmed
        assert len(set(written)) >= said
        confirmed = said
    settle_all(queue)
    counters = queue.counters()
    assert counters["received"] == 60 == counters["written"]
    assert len(set(written)) == 60
    assert len(written) <= 60 + lost_writes


def test_a_file_that_is_no_queue_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bridge.db").write_bytes(b"junk" * 2000)
    with pytest.raises(QueueError, match=r"bridge.db: cannot be used as the bridge's queue"):
        BridgeQueue(tmp_path / "bridge.db")


def test_in_order_nothing_is_taken_ahead_of_a_hole(tmp_path: Path) -> None:
    """One of several bridges: what came before it was listening, its gateway sends again."""
    queue = BridgeQueue(tmp_path / "bridge.db", in_order=True)
    queue.receive([arrival(5), arrival(6)])
    assert queue.take(10) == []
    assert queue.counters()["early"] == 2
    queue.receive([arrival(seq) for seq in range(1, 7)])
    assert [row.id for row in queue.take(10)] == sorted(row.id for row in queue.take(10))
    assert len(queue.take(10)) == 6
    settle_all(queue)
    assert up_to(queue) == 6
    # Another bridge had this gateway meanwhile: its floor tells how far that one came.
    queue.receive([arrival(41, floor=40), arrival(40, floor=40)])
    assert len(queue.take(10)) == 1, "40 begins at the floor, 41 came before it"
    queue.receive([arrival(41, floor=40), arrival(42, floor=40)])
    settle_all(queue)
    assert up_to(queue) == 42
    c = queue.counters()
    assert c["received"] == c["written"] == 9
