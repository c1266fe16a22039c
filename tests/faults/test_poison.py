"""One bad message or one bad line among a thousand: 999 are written every time, the bad one lies aside with its reason."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from processing.types import Metric
from sensor_gateway.bridge.bridge import Bridge
from sensor_gateway.bridge.intake import sort_out
from sensor_gateway.bridge.queue import BridgeQueue, Good
from sensor_gateway.config import Influx, Settings, Site
from sensor_gateway.mqtt_link import Incoming, Link, LinkSettings
from sensor_gateway.sinks.influx import InfluxWriter
from sensor_gateway.wire import topics
from sensor_gateway.wire.messages import Entry, encode_message, encode_record
from tests.faults.poison import LINES, MESSAGES, TOPIC
from tests.integration.servers import TOKEN, Influxd, Shim, Stack, wait_until
from tests.integration.test_broker import mqtt

pytestmark = [pytest.mark.servers, pytest.mark.slow]

N = 1000
S = 10**9
SPOOL = "0123456789abcdef"


def message(seq: int) -> bytes:
    metric = Metric(10**18 + seq * S, 1.0, 0.1, 1.5, "standing", 0.9, 1.0, 0.8)
    entry = Entry(seq, seq - 1, 1, "w-001", "clip-1", "metric", metric.t_utc_ns, encode_record(metric))
    return encode_message(entry, "home", "gw-1", SPOOL)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Influxd, Shim]]:
    folder = tmp_path_factory.mktemp("influx")
    influx = Influxd(folder / "influx")
    shim = Shim(folder / "nginx", influx.port)
    try:
        influx.start()
        shim.start()
        yield influx, shim
    finally:
        shim.kill9()
        influx.kill9()


def carry(queue: BridgeQueue, writer: InfluxWriter) -> None:
    """The bridge's own steps until nothing waits."""
    while rows := queue.take(500):
        outcome = writer.write(rows)
        queue.settle(outcome.written, outcome.rejected)


def a_round(
    database: tuple[Influxd, Shim], folder: Path, name: str, arrivals: list[Incoming], bad: str = ""
) -> BridgeQueue:
    """Through queue and writer into a database of its own; where ``bad`` is given it takes the place of the middle line."""
    influx, shim = database
    influx.create(name)
    queue = BridgeQueue(folder / f"{name}.db")
    sorted_out = [sort_out(one) for one in arrivals]
    if bad:
        middle = sorted_out[N // 2]
        assert isinstance(middle, Good)
        sorted_out[N // 2] = Good(middle.message, bad.replace("{t}", middle.line.rpartition(" ")[2]))
    queue.receive(sorted_out)
    writer = InfluxWriter(Influx(url=shim.url, bucket=name), TOKEN)
    carry(queue, writer)
    writer.close()
    counters = queue.counters()
    assert counters["received"] == N == counters["written"] + counters["rejected"]
    assert (counters["rejected"], counters["queued"]) == (1, 0)
    assert influx.count("tilt", "coverage", name) == N - 1
    return queue


def arrivals(replaced: Incoming | None = None) -> list[Incoming]:
    all_ = [Incoming(TOPIC, message(i), i, 1) for i in range(1, N + 1)]
    if replaced is not None:
        all_[N // 2] = replaced
    return all_


def test_there_are_twenty_kinds_of_each() -> None:
    assert len(MESSAGES) >= 20
    assert len(LINES) >= 20


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_bad_message_among_a_thousand(database: tuple[Influxd, Shim], tmp_path: Path, kind: str) -> None:
    make, reason = MESSAGES[kind]
    topic, payload = make(message(N // 2 + 1))
    name = f"m{list(MESSAGES).index(kind)}"
    queue = a_round(database, tmp_path, name, arrivals(Incoming(topic, payload, 1, 1)))
    letter = queue.letters()[0]
    assert re.search(reason, letter.reason, re.IGNORECASE), letter.reason
    assert (letter.topic, letter.body) == (topic, payload)


@pytest.mark.parametrize("kind", LINES)
def test_a_bad_line_among_a_thousand(database: tuple[Influxd, Shim], tmp_path: Path, kind: str) -> None:
    queue = a_round(database, tmp_path, f"l{list(LINES).index(kind)}", arrivals(), LINES[kind])
    letter = queue.letters()[0]
    assert len(letter.reason) > 10
    assert letter.kind == "line"
    assert queue.words()[0].up_to == N, "a refused line holds nobody up"


def test_all_kinds_over_the_real_broker_do_not_stall_the_stream(stack: Stack, tmp_path: Path) -> None:
    settings = Settings(
        site=Site(data_dir=str(tmp_path / "bridge-data")),
        mqtt=mqtt(stack.broker, "bridge"),
        influx=Influx(url=stack.shim.url, token_file=str(stack.folder / "token")),
    )
    bridge, stop = Bridge(settings, stack.broker.folder), threading.Event()
    thread = threading.Thread(target=bridge.run, args=(stop,))
    thread.start()
    link = Link.connect(
        LinkSettings(mqtt(stack.broker, "gw-1"), stack.broker.folder, "poison", (topics.durable("home", "gw-1"),))
    )
    published = 0
    try:
        wait_until("the bridge's connection", lambda: bridge.trouble is None)
        bad = [make(message(1)) for make, _ in MESSAGES.values()]
        bad = [(topic, payload) for topic, payload in bad if topic.startswith("tiltline/v1/home/gw-1/w-001/")]
        words: list[int] = []
        for i in range(1, N + 1):
            link.publish(TOPIC, message(i))
            if i % 40 == 0 and bad:
                link.publish(*bad.pop())
                published += 1
            for m in link.poll(0).messages:
                link.acknowledge(m)
                words.append(json.loads(m.payload)["up_to"])

        def all_confirmed() -> bool:
            for m in link.poll(0.05).messages:
                link.acknowledge(m)
                words.append(json.loads(m.payload)["up_to"])
            return bool(words) and words[-1] == N

        wait_until("the bridge's word on the last one", all_confirmed)
        assert published >= 17
        assert stack.influx.count("tilt", "coverage") == N
        counters = bridge.queue.counters()
        assert counters["received"] == counters["written"] + counters["rejected"] + counters["queued"]
        assert counters["written"] == N
    finally:
        link.close()
        stop.set()
        thread.join(60)
