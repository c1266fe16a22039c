"""The broker side with a real Mosquitto: access lists, refusals in words, last will, bad messages, outages at the start."""

from __future__ import annotations

import gc
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from processing.types import Metric
from sensor_gateway.bridge.bridge import Bridge
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Influx, Mqtt, Sensor, Settings, Site
from sensor_gateway.health.servers import server_findings
from sensor_gateway.mqtt_link import Link, LinkError, LinkSettings, Refused
from sensor_gateway.sinks.mqtt import MqttSink
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.outbox import Outbox, SinkView
from sensor_gateway.wire import topics
from sensor_gateway.wire.messages import Entry, encode_durable, encode_message, encode_record
from tests.integration.certificates import make_certificates
from tests.integration.servers import START_S, Mosquitto, Stack, free_port, wait_until

pytestmark = pytest.mark.servers

T0 = 1_790_000_000_000_000_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    server = Mosquitto(tmp_path / "mosquitto")
    try:
        server.start()
        yield server
    finally:
        server.kill9()


def metric(i: int) -> Metric:
    return Metric(T0 + i * 10**9, 1.0, 0.1, 1.5, "standing", 0.9, 1.0, 0.8)


def mqtt(broker: Mosquitto, user: str = "gw-1") -> Mqtt:
    return Mqtt(True, "127.0.0.1", broker.port, True, "ca.crt", user, f"{user}.password", 20, 5)


def settings_of(broker: Mosquitto, user: str, topic: str) -> LinkSettings:
    return LinkSettings(mqtt(broker, user), broker.folder, f"test-{user}-{topic[-9:]}", (topic,))


def message(i: int, wearer: str = "w-001", gateway: str = "gw-1") -> bytes:
    entry = Entry(i, i - 1, 1, wearer, "clip-1", "metric", metric(i).t_utc_ns, encode_record(metric(i)))
    return encode_message(entry, "home", gateway, "00112233aabbccdd")


def delivered(reader: Link, writer: Link, topic: str, payload: bytes, within_s: float = 20.0) -> bool:
    """Whether a message really arrives: a broker may grant a subscription and still deliver nothing."""
    writer.publish(topic, payload)
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        writer.poll(0.02)
        heard = reader.poll(0.05)
        for m in heard.messages:
            reader.acknowledge(m)
        if any(m.payload == payload for m in heard.messages):
            return True
    return False


def test_a_gateway_cannot_read_or_write_what_is_another_ones(broker: Mosquitto) -> None:
    links = [
        Link.connect(settings_of(broker, "bridge", topics.ALL_RECORDS)),
        Link.connect(settings_of(broker, "gw-1", topics.durable("home", "gw-1"))),
        Link.connect(settings_of(broker, "gw-2", "tiltline/v1/#")),
    ]
    bridge, one, two = links
    try:
        assert delivered(bridge, one, topics.record("home", "gw-1", "w-001", "metric"), message(1))
        assert not delivered(two, one, topics.record("home", "gw-1", "w-001", "metric"), message(2), 0.7)
        assert delivered(one, bridge, topics.durable("home", "gw-1"), encode_durable("0" * 16, 1))
        assert not delivered(two, bridge, topics.durable("home", "gw-1"), encode_durable("0" * 16, 2), 0.7)
        mid = two.publish(topics.record("home", "gw-1", "w-001", "metric"), message(3))
        refused: list[Refused] = []
        wait_until("the broker's answer", lambda: bool(refused.extend(two.poll(0.2).refused) or refused))
        assert [(r.mid, r.reason) for r in refused] == [(mid, "Not authorized")]
    finally:
        for link in links:
            link.close()


def test_refusals_say_what_to_do(broker: Mosquitto, tmp_path: Path) -> None:
    good = settings_of(broker, "gw-1", topics.durable("home", "gw-1"))
    (broker.folder / "wrong.password").write_text("wrong")
    with pytest.raises(LinkError, match=r"refuses 'gw-1' .*check user and password"):
        Link.connect(replace(good, mqtt=replace(good.mqtt, password_file="wrong.password")))
    make_certificates(tmp_path)
    with pytest.raises(LinkError, match=r"point 'mqtt.ca_file' at the broker's CA"):
        Link.connect(replace(good, mqtt=replace(good.mqtt, ca_file=str(tmp_path / "ca.crt"))))
    with pytest.raises(LinkError, match=r"absent.crt cannot be used"):
        Link.connect(replace(good, mqtt=replace(good.mqtt, ca_file="absent.crt")))
    with pytest.raises(LinkError, match=r"does not answer .*start it or correct 'mqtt.host'"):
        Link.connect(replace(good, mqtt=replace(good.mqtt, port=free_port())))
    with pytest.raises(LinkError, match=r"hangs up at once; if it speaks TLS there set 'mqtt.tls = true'"):
        Link.connect(replace(good, mqtt=replace(good.mqtt, tls=False)))


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Callable[..., Mqtt]]:
    """A server that shows a certificate and then says nothing; the settings for it."""
    stop, made = threading.Event(), []

    def show(**certificate: Any) -> Mqtt:
        make_certificates(tmp_path, **certificate)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0.1)

        def answer() -> None:
            while not stop.is_set():
                with suppress(OSError):
                    caller = listener.accept()[0]
                    caller.settimeout(START_S)
                    context.wrap_socket(caller, server_side=True).close()

        made.append((listener, threading.Thread(target=answer)))
        made[-1][1].start()
        return Mqtt(True, "127.0.0.1", listener.getsockname()[1], True, str(tmp_path / "ca.crt"), "", "", 20, 5)

    yield show
    stop.set()
    for listener, thread in made:
        thread.join()
        listener.close()


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        (
            {"began": timedelta(days=-9), "ends": timedelta(hours=-1)},
            "expired; check this machine's clock; else make a new certificate",
        ),
        ({"began": timedelta(hours=1)}, "not yet valid; check this machine's clock"),
        ({"address": "10.1.2.3"}, "set 'mqtt.host' to a name in the broker's certificate, or make one for 127.0.0.1"),
    ],
)
def test_a_certificate_that_does_not_hold_is_told_with_its_remedy(
    shown: Callable[..., Mqtt], tmp_path: Path, certificate: dict[str, Any], said: str
) -> None:
    with pytest.raises(LinkError, match=said):
        Link.connect(LinkSettings(shown(**certificate), tmp_path, "test", ()))


def test_a_broker_that_refuses_for_days_costs_no_descriptors(broker: Mosquitto) -> None:
    """A service looks for cyclic garbage every few hours; what an attempt opens must not wait for that."""
    good = settings_of(broker, "gw-1", topics.durable("home", "gw-1"))
    (broker.folder / "wrong.password").write_text("wrong")
    bad = replace(good, mqtt=replace(good.mqtt, password_file="wrong.password"))
    gc.disable()
    try:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(3):
            with suppress(LinkError):
                Link.connect(bad)
            Link.connect(good).close()
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    finally:
        gc.enable()


def test_the_doctor_logs_in_and_sees_when_the_certificate_ends(broker: Mosquitto) -> None:
    settings = Settings(site=Site(), sensors=(Sensor("clip-1", "w-001"),), mqtt=mqtt(broker))
    (found,) = server_findings(settings, broker.folder)
    assert found.state == "note"
    assert "lets 'gw-1' in, over TLS; its certificate ends in" in found.seen
    (broker.folder / "wrong.password").write_text("wrong")
    wrong = replace(settings, mqtt=replace(settings.mqtt, password_file="wrong.password"))
    (found,) = server_findings(wrong, broker.folder)
    assert (found.state, found.remedy) == ("problem", "check user and password")
    (_, found) = server_findings(replace(settings, site=Site(gateway="gw-9")), broker.folder)
    assert (found.state, "logs in for gateway 'gw-9'" in found.seen) == ("note", True)


def test_two_with_one_name_hear_of_each_other(broker: Mosquitto) -> None:
    settings = settings_of(broker, "gw-1", topics.durable("home", "gw-1"))
    first = Link.connect(settings)
    second = Link.connect(settings)
    try:
        with pytest.raises(LinkError, match=r"another client logs in as 'test-gw-1-1/durable'"):
            wait_until("the broker's choice", lambda: first.poll(0.1) is None)
    finally:
        first.close()
        second.close()


def test_a_broker_with_a_small_limit_is_told_of_and_nothing_is_sent(tmp_path: Path) -> None:
    server = Mosquitto(tmp_path / "mosquitto")
    with (server.folder / "mosquitto.conf").open("a") as file:
        file.write("max_packet_size 400\n")
    try:
        server.start()
        link = Link.connect(settings_of(server, "gw-1", topics.durable("home", "gw-1")))
        try:
            topic = topics.record("home", "gw-1", "w-001", "metric")
            with pytest.raises(LinkError, match=r"at most 400 bytes, .* has 390; raise its 'max_packet_size'"):
                link.publish(topic, b"x" * 390)
            fits = link.publish(topic, b"x" * (400 - 16 - len(topic)))
            wait_until("the broker's word", lambda: fits in link.poll(0.1).published)
        finally:
            link.close()
    finally:
        server.kill9()


class Sending:
    """An MQTT sink over a real outbox, running in its thread."""

    def __init__(self, broker: Mosquitto, folder: Path, wearer: str = "w-001") -> None:
        settings = Settings(site=Site(), mqtt=mqtt(broker))
        self.spool = Spool(folder / "spool.db")
        self.outbox = Outbox(self.spool, ["mqtt"], 10**6)
        self.run = self.outbox.run("clip-1", wearer, "hash", 0)
        self.sink = MqttSink(settings, broker.folder, SystemClock())
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self.sink.run, args=(SinkView(self.outbox, "mqtt"), self.stop))
        self._thread.start()
        self._ordinal = 0

    def store(self, n: int) -> None:
        self.outbox.store(self.run, self._ordinal, [metric(self._ordinal + i) for i in range(n)])
        self._ordinal += n

    def close(self) -> None:
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        self.spool.close()


@pytest.fixture
def sending(broker: Mosquitto, tmp_path: Path) -> Iterator[Callable[..., Sending]]:
    made: list[Sending] = []

    def make(wearer: str = "w-001") -> Sending:
        made.append(Sending(broker, tmp_path / f"spool{len(made)}", wearer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def collect(link: Link, seqs: list[int], status: list[dict[str, object]]) -> None:
    for m in link.poll(0.05).messages:
        link.acknowledge(m)
        body = json.loads(m.payload)
        if m.topic.endswith("/status"):
            status.append(body)
        else:
            seqs.append(body["seq"])


@pytest.mark.slow
def test_only_the_bridges_word_empties_the_outbox(broker: Mosquitto, sending: Callable[..., Sending]) -> None:
    link = Link.connect(
        replace(
            settings_of(broker, "bridge", topics.ALL_RECORDS),
            subscribe=(topics.ALL_RECORDS, topics.ALL_STATUS),
        )
    )
    seqs: list[int] = []
    status: list[dict[str, object]] = []
    sender = sending()
    try:
        sender.store(700)

        def heard(n: int) -> Callable[[], bool]:
            return lambda: collect(link, seqs, status) is None and len(seqs) >= n

        # The window holds the rest back: a broker's queue is not a store.
        wait_until("the window", heard(500))
        assert seqs == list(range(1, 501))
        assert sender.outbox.cursor("mqtt") == 0
        topic = topics.durable("home", "gw-1")
        link.publish(topic, encode_durable("f" * 16, 700), retain=True)
        link.publish(topic, b"garbage", retain=True)
        link.publish(topic, encode_durable(sender.spool.id, 9999), retain=True)
        for _ in range(5):
            collect(link, seqs, status)
        assert sender.outbox.cursor("mqtt") == 0
        link.publish(topic, encode_durable(sender.spool.id, 300), retain=True)
        wait_until("the rest", heard(700))
        assert sender.outbox.cursor("mqtt") == 300
        # Nobody confirms the rest: after a while it is sent again, from the first unconfirmed row on.
        wait_until("the repeat", heard(1100))
        assert seqs[700:1100] == list(range(301, 701))
        assert status[0]["online"] is True
        # The pause before the next repeat is longer now, unless the bridge shows that it is there.
        again = time.monotonic()
        link.publish(topic, encode_durable(sender.spool.id, 300), retain=True)
        wait_until("the next repeat", heard(1500))
        assert time.monotonic() - again < 9.5  # the longer pause would be ten seconds
        link.publish(topic, encode_durable(sender.spool.id, 700), retain=True)
        wait_until("an empty outbox", lambda: heard(0)() and sender.outbox.queued("mqtt") == 0)
        sender.stop.set()
        wait_until("the goodbye", lambda: heard(0)() and status[-1]["online"] is False)
        assert status[-1]["durable_up_to"] == 700
    finally:
        link.close()


def test_a_refused_topic_is_said_and_keeps_the_records(sending: Callable[..., Sending]) -> None:
    sender = sending("w-002")  # gw-1 may not write this wearer
    sender.store(3)
    wait_until("the refusal", lambda: sender.sink.trouble is not None and "refuses" in sender.sink.trouble)
    assert sender.sink.trouble is not None
    assert "home/gw-1/w-002/metric (Not authorized); give this gateway's user write access" in sender.sink.trouble
    assert sender.outbox.queued("mqtt") == 3


@pytest.mark.slow
def test_bad_messages_are_set_aside_with_reasons_and_the_rest_goes_on(stack: Stack, tmp_path: Path) -> None:
    base = stack.broker.folder
    settings = Settings(
        site=Site(data_dir=str(tmp_path / "bridge-data")),
        mqtt=mqtt(stack.broker, "bridge"),
        influx=Influx(url=stack.shim.url, token_file=str(stack.folder / "token"), batch=100),
    )
    bridge, stop = Bridge(settings, base), threading.Event()
    thread = threading.Thread(target=bridge.run, args=(stop,))
    thread.start()
    link = Link.connect(settings_of(stack.broker, "gw-1", topics.durable("home", "gw-1")))
    try:
        wait_until("the bridge's connection", lambda: bridge.trouble is None)
        topic = topics.record("home", "gw-1", "w-001", "metric")
        for i in range(1, 201):
            link.publish(topic, b"not json" if i == 50 else message(i))
            if i == 60:
                link.publish(topic, message(999, wearer="w-777"))
            if i == 70:
                bad = json.loads(message(50))
                bad["data"]["coverage"] = 7.0
                link.publish(topic, json.dumps(bad).encode())
            link.poll(0)
        words: list[int] = []

        def confirmed() -> bool:
            for m in link.poll(0.05).messages:
                link.acknowledge(m)
                words.append(json.loads(m.payload)["up_to"])
            return bool(words) and words[-1] == 200

        wait_until("the bridge's word", confirmed)
        assert words == sorted(words)
        assert stack.influx.count("tilt", "coverage") == 199
        counters = bridge.queue.counters()
        assert counters["received"] == 202 == counters["written"] + counters["rejected"]
        reasons = sorted(letter.reason for letter in bridge.queue.letters())
        assert len(reasons) == 3
        assert any("coverage is 7.0" in r for r in reasons)
        assert any("its topic does not" in r for r in reasons)
        assert bridge.report().refusals == {"message": {"form": 1, "record": 1, "speaker": 1}}
    finally:
        link.close()
        stop.set()
        thread.join(60)
