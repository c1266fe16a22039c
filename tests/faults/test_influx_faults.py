"""What the bridge makes of a database that refuses, stalls, limits or cuts: bad points alone go, everything else waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from processing.types import Metric
from sensor_gateway.bridge.bridge import Bridge
from sensor_gateway.bridge.queue import BridgeQueue, Good
from sensor_gateway.config import Influx, Mqtt, Settings, Site
from sensor_gateway.sinks.influx import InfluxDownError, InfluxWriter
from sensor_gateway.wire.line import Queued, line
from sensor_gateway.wire.messages import Entry, decode_message, encode_message, encode_record
from tests.faults.influx_server import Answer, FaultyInflux
from tests.integration.servers import wait_until

ROWS = [Queued(i, f"tilt v={i}i {i}") for i in range(1, 101)]


@pytest.fixture
def server() -> Iterator[FaultyInflux]:
    faulty = FaultyInflux(lambda text: "bad" in text)
    yield faulty
    faulty.close()


@pytest.fixture
def writer(server: FaultyInflux) -> Iterator[InfluxWriter]:
    one = InfluxWriter(Influx(url=server.url, timeout_s=3.0), "token")
    yield one
    one.close()


def test_a_good_batch_is_one_request(server: FaultyInflux, writer: InfluxWriter) -> None:
    assert writer.write(ROWS).written == [row.id for row in ROWS]
    assert server.requests == 1
    assert server.lines == [row.line for row in ROWS]


def test_bad_points_alone_are_rejected(server: FaultyInflux, writer: InfluxWriter) -> None:
    rows = [Queued(r.id, f"bad {r.line}") if r.id in {1, 50, 51, 100} else r for r in ROWS]
    outcome = writer.write(rows)
    assert sorted(i for i, _ in outcome.rejected) == [1, 50, 51, 100]
    assert sorted(outcome.written) == [i for i in range(1, 101) if i not in {1, 50, 51, 100}]
    assert {reason for _, reason in outcome.rejected} == {"unable to parse line"}
    assert server.requests < 60


def test_too_large_a_batch_is_halved(server: FaultyInflux, writer: InfluxWriter) -> None:
    server.script.append(Answer(413, '{"message":"request too large"}'))
    assert writer.write(ROWS).written == [row.id for row in ROWS]
    assert server.requests == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(401, '{"message":"unauthorized access"}'), "check 'influx.token_file'"),
        (Answer(403, '{"message":"forbidden"}'), "write access"),
        (Answer(404, '{"error":"database not found"}'), "check 'influx.bucket'"),
        (Answer(500, "<html>oops</html>"), "answers 500"),
        (Answer(503, ""), "answers 503"),
        (Answer(302, "", {"Location": "/login"}), "answers 302"),
        (Answer(204, "", cut=True), ""),
        (Answer(204, "", stall_s=60.0), "does not answer"),
        (Answer(500, "half", cut=True), "does not answer|answers 500"),
    ],
)
def test_outages_are_told_and_pass(server: FaultyInflux, writer: InfluxWriter, answer: Answer, words: str) -> None:
    server.script.append(answer)
    if words:
        with pytest.raises(InfluxDownError, match=words):
            writer.write(ROWS)
    assert writer.write(ROWS).written == [row.id for row in ROWS]


def test_retry_after_is_heard_as_seconds_and_as_date(server: FaultyInflux, writer: InfluxWriter) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    for value, low, high in (("7", 7, 7), (in_a_minute, 50, 61), ("soon", 0, 0), ("-5", 0, 0), ("999999", 3600, 3600)):
        server.script.append(Answer(429, '{"message":"slow down"}', {"Retry-After": value}))
        with pytest.raises(InfluxDownError, match="slow down") as caught:
            writer.write(ROWS)
        assert low <= caught.value.retry_after_s <= high


def test_a_server_that_refuses_everything_for_its_own_reason_costs_nothing(server: FaultyInflux) -> None:
    server.reason = '{"message":"no default shard group"}'
    broken = InfluxWriter(Influx(url=server.url), "token")
    with pytest.raises(InfluxDownError, match="refuses every point"):
        broken.write([Queued(1, "bad a"), Queued(2, "bad b")])
    # Beside good points the same answer can only mean the point.
    assert broken.write([Queued(1, "bad a"), Queued(2, "good")]).rejected == [(1, "no default shard group")]
    broken.close()


def test_no_server_at_all(server: FaultyInflux) -> None:
    url = server.url
    server.close()
    nobody = InfluxWriter(Influx(url=url), "token")
    with pytest.raises(InfluxDownError, match=r"does not answer .*correct 'influx.url'"):
        nobody.write(ROWS)
    nobody.close()


def fill(queue: BridgeQueue, n: int) -> None:
    for i in range(1, n + 1):
        metric = Metric(10**18 + i * 10**9, 1.0, 0.1, 1.5, "standing", 0.9, 1.0, 0.8)
        entry = Entry(
            i, i - 1, 1, "w-001", "bad" if i == 7 else "clip-1", "metric", metric.t_utc_ns, encode_record(metric)
        )
        message = decode_message(encode_message(entry, "home", "gw-1", "0123456789abcdef"))
        queue.receive([Good(message, line("home", "w-001", entry.sensor, metric))])


def test_the_bridge_waits_out_every_fault_and_balances(server: FaultyInflux, tmp_path: Path) -> None:
    settings = Settings(
        site=Site(data_dir="data"),
        mqtt=Mqtt(host="127.0.0.1", port=9, tls=False),  # nobody listens: this is about the other side
        influx=Influx(url=server.url, batch=20, timeout_s=3.0),
    )
    server.script.extend(
        [Answer(503), Answer(429, "", {"Retry-After": "1"}), Answer(500, "x", cut=True), Answer(204, "", stall_s=60.0)]
    )
    bridge, stop = Bridge(settings, tmp_path), threading.Event()
    fill(bridge.queue, 60)
    counters: list[dict[str, int]] = []
    thread = threading.Thread(target=lambda: counters.append(bridge.run(stop)))
    thread.start()
    try:
        wait_until("an empty queue", lambda: bridge.queue.counters()["queued"] == 0)
        wait_until("a word on the broker", lambda: "does not answer" in (bridge.trouble or ""))
    finally:
        stop.set()
        thread.join(60)
    end = counters[0]
    assert (end["received"], end["written"], end["rejected"], end["dropped"], end["queued"]) == (60, 59, 1, 0, 0)
    assert (end["duplicates"], end["dead_letters"]) == (0, 1)
    assert sorted(set(server.lines)) == sorted(server.lines)
    assert len(server.lines) == 59
