"""The broker's settings, access list and the set-up commands of docs/operations.md, on a real Mosquitto with TLS."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sensor_gateway.config import load_settings
from sensor_gateway.wire import topics
from tests.integration.servers import free_port

ROOT = Path(__file__).parents[2]
DENIED = 135  # MQTT 5: not authorized
WAIT_S = 60.0

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(
        shutil.which("mosquitto") is None or shutil.which("mosquitto_passwd") is None,
        reason="mosquitto is not installed (Debian package mosquitto)",
    ),
]


@dataclass(frozen=True, slots=True)
class Broker:
    port: int
    stack: Path

    @property
    def ca(self) -> str:
        return str(self.stack / "certs" / "ca.crt")


class Client:
    """A logged-in MQTT 5 client that notes what the broker grants and delivers."""

    def __init__(self, broker: Broker, user: str, password: str) -> None:
        self.connected: queue.Queue[ReasonCode] = queue.Queue()
        self.acknowledged: queue.Queue[ReasonCode] = queue.Queue()
        self.subscribed: queue.Queue[bool] = queue.Queue()
        self.received: queue.Queue[str] = queue.Queue()
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        if user:
            self._mqtt.username_pw_set(user, password)
        self._mqtt.tls_set(ca_certs=broker.ca)
        self._mqtt.on_connect = lambda _c, _u, _f, reason, _p: self.connected.put(reason)
        self._mqtt.on_publish = self._note_publish
        self._mqtt.on_subscribe = lambda *_: self.subscribed.put(True)
        self._mqtt.on_message = lambda _c, _u, message: self.received.put(message.topic)
        self._mqtt.connect("localhost", broker.port)
        self._mqtt.loop_start()
        self.reason = self.connected.get(timeout=WAIT_S)

    def _note_publish(
        self, _client: mqtt.Client, _user: object, _mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        self.acknowledged.put(reason)

    def publish(self, topic: str, *, retain: bool = False) -> int:
        """The broker's reason code; below 128 it took the message."""
        self._mqtt.publish(topic, topic.encode(), qos=1, retain=retain)
        return self.acknowledged.get(timeout=WAIT_S).value

    def subscribe(self, topic: str) -> None:
        self._mqtt.subscribe(topic, qos=1)
        self.subscribed.get(timeout=WAIT_S)

    def delivered(self, last: str) -> list[str]:
        """Topics received up to and including ``last``, which must come."""
        seen: list[str] = []
        while not seen or seen[-1] != last:
            seen.append(self.received.get(timeout=WAIT_S))
        return seen

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the documented commands make, run as written, a second gateway and a second site among them."""
    directory = tmp_path_factory.mktemp("site")
    (directory / "config").symlink_to(ROOT / "config")
    text = (ROOT / "docs" / "operations.md").read_text()
    blocks = re.findall(r"<!-- these commands are run by [^>]*-->\n```sh\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    done = subprocess.run(
        ["sh", "-ec", "".join(blocks)],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    return directory / "stack"


@contextmanager
def running(stack: Path, directory: Path, settings: str) -> Iterator[Broker]:
    """Mosquitto with the committed settings, its container's paths and port replaced by this test's."""
    port = free_port()
    data = directory / "data"
    data.mkdir()
    for old, new in (
        ("listener 8883", f"listener {port} 127.0.0.1"),
        ("/mosquitto/certs", str(stack / "certs")),
        ("/mosquitto/access", str(stack / "mosquitto")),
        ("/mosquitto/data/", f"{data}/"),
    ):
        assert old in settings
        settings = settings.replace(old, new)
    if os.getuid() == 0:
        settings += "\nuser root\n"  # as root Mosquitto would become `mosquitto`, who may not read this test's folder
    config = directory / "mosquitto.conf"
    config.write_text(settings)
    log = directory / "mosquitto.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["mosquitto", "-c", str(config)], stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + WAIT_S
        while True:
            assert process.poll() is None, log.read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield Broker(port, stack)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def broker(stack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    settings = (ROOT / "config" / "mosquitto" / "mosquitto.conf").read_text()
    with running(stack, tmp_path_factory.mktemp("broker"), settings) as started:
        yield started


@pytest.fixture
def clients(broker: Broker) -> Iterator[dict[str, Client]]:
    """The first gateway, a second one and the bridge, logged in; and those of the second site."""
    secrets = broker.stack / "secrets"
    passwords = {
        "gw-1": (secrets / "mqtt_gateway_password").read_text(),
        "gw-2": (broker.stack / "gateways" / "gw-2" / "mqtt_gateway_password").read_text(),
        "bridge": (secrets / "mqtt_bridge_password").read_text(),
        "gw-b1": (broker.stack / "gateways" / "gw-b1" / "mqtt_gateway_password").read_text(),
        "bridge-clinic-b": (broker.stack / "sites" / "clinic-b" / "secrets" / "mqtt_bridge_password").read_text(),
    }
    made = {user: Client(broker, user, password) for user, password in passwords.items()}
    yield made
    for client in made.values():
        client.close()


def test_the_commands_leave_secrets_only_where_they_are_mounted(stack: Path) -> None:
    assert stack.stat().st_mode & 0o777 == 0o700
    names = {p.name for p in (stack / "secrets").iterdir()}
    assert len({p.read_text() for p in (stack / "secrets").iterdir()}) == len(names) == 9
    passwd = (stack / "mosquitto" / "passwd").read_text()
    assert not any(p.read_text() in passwd for p in (stack / "secrets").iterdir())
    # The broker's user reads it: whoever is not root cannot give it away, and the folder is closed.
    assert (stack / "certs" / "server.key").stat().st_mode & 0o777 == (0o400 if os.geteuid() == 0 else 0o444)
    for name in ("gateway", "bridge"):
        load_settings(stack / f"{name}.toml")


def test_users_with_a_password_get_in_and_nobody_else(broker: Broker, clients: dict[str, Client]) -> None:
    assert {user: client.reason.value for user, client in clients.items()} == dict.fromkeys(clients, 0)
    for user, password in (("", ""), ("gw-1", "wrong"), ("nobody", "two")):
        refused = Client(broker, user, password)
        assert refused.reason.value == DENIED, user
        refused.close()


def test_without_tls_or_with_another_ca_there_is_no_connection(broker: Broker) -> None:
    with socket.create_connection(("127.0.0.1", broker.port), timeout=WAIT_S) as plain:
        plain.sendall(bytes.fromhex("100f00044d5154540502003c0000027878"))
        plain.settimeout(WAIT_S)
        try:
            answer = plain.recv(16)
        except ConnectionResetError:
            answer = b""
        assert not answer.startswith(b"\x20"), "a CONNACK without TLS"
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", broker.port), timeout=WAIT_S) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(raw, server_hostname="localhost")


@pytest.mark.parametrize("name", ["mosquitto", "localhost", "127.0.0.1"])
def test_the_certificate_holds_for_the_brokers_names(broker: Broker, name: str) -> None:
    context = ssl.create_default_context(cafile=broker.ca)
    with (
        socket.create_connection(("127.0.0.1", broker.port), timeout=WAIT_S) as raw,
        context.wrap_socket(raw, server_hostname=name) as tls,
    ):
        assert tls.version() in {"TLSv1.2", "TLSv1.3"}


def test_a_gateway_writes_its_own_records_and_status_only(clients: dict[str, Client]) -> None:
    first = clients["gw-1"]
    own = [topics.record("home", "gw-1", "w-001", kind) for kind in ("metric", "epoch", "event", "device")]
    own.append(topics.status("home", "gw-1"))
    foreign = [
        topics.record("home", "gw-1", "w-002", "metric"),
        topics.record("home", "gw-2", "w-001", "metric"),
        topics.record("clinic", "gw-1", "w-001", "metric"),
        topics.status("home", "gw-2"),
        topics.durable("home", "gw-1"),
        topics.command("home", "gw-1"),
        "tiltline/v1/home/gw-1/w-001",
        "anything",
    ]
    assert {topic: first.publish(topic) < 128 for topic in own} == dict.fromkeys(own, True)
    assert {topic: first.publish(topic) for topic in foreign} == dict.fromkeys(foreign, DENIED)


def test_the_bridge_receives_everything_and_acknowledges(clients: dict[str, Client]) -> None:
    bridge, first, second = clients["bridge"], clients["gw-1"], clients["gw-2"]
    bridge.subscribe(topics.ALL_RECORDS)
    bridge.subscribe(topics.ALL_STATUS)
    record, status, last = (
        topics.record("home", "gw-1", "w-001", "metric"),
        topics.status("home", "gw-1"),
        topics.record("home", "gw-2", "w-002", "metric"),
    )
    first.publish(record)
    first.publish(status)
    second.publish(last)
    assert set(bridge.delivered(last)) == {record, status, last}
    first.subscribe(topics.durable("home", "gw-1"))
    assert bridge.publish(topics.durable("home", "gw-1")) < 128
    assert first.delivered(topics.durable("home", "gw-1"))
    assert bridge.publish(record) == DENIED


def test_a_gateway_is_delivered_nothing_of_another_whatever_it_subscribes(clients: dict[str, Client]) -> None:
    """The broker grants a wide subscription; what counts is what it delivers."""
    curious, first, bridge = clients["gw-2"], clients["gw-1"], clients["bridge"]
    curious.subscribe("#")
    curious.subscribe("tiltline/v1/home/#")
    first.publish(topics.record("home", "gw-1", "w-001", "event"))
    first.publish(topics.status("home", "gw-1"))
    bridge.publish(topics.durable("home", "gw-1"))
    last = topics.durable("home", "gw-2")
    bridge.publish(last)
    assert set(curious.delivered(last)) == {last}


def test_a_site_is_delivered_nothing_of_another_and_cannot_speak_in_it(clients: dict[str, Client]) -> None:
    bridge, other_bridge, first, other = (clients[u] for u in ("bridge", "bridge-clinic-b", "gw-1", "gw-b1"))
    for curious in (bridge, other_bridge):
        curious.subscribe("#")
        curious.subscribe(topics.ALL_RECORDS)
        curious.subscribe(topics.ALL_STATUS)
    own = topics.record("clinic-b", "gw-b1", "w-101", "metric"), topics.status("clinic-b", "gw-b1")
    assert [other.publish(topic) < 128 for topic in own] == [True, True]
    assert [
        first.publish(t) < 128
        for t in (topics.status("home", "gw-1"), topics.record("home", "gw-1", "w-001", "metric"))
    ]
    foreign = (
        topics.status("home", "gw-b1"),
        topics.record("home", "gw-b1", "w-101", "metric"),
        topics.receipt("home", "gw-b1"),
    )
    assert [other.publish(topic) for topic in foreign] == [DENIED] * 3
    assert [other_bridge.publish(topics.durable("home", g)) for g in ("gw-1", "gw-b1")] == [DENIED] * 2
    assert set(other_bridge.delivered(own[1])) == set(own)
    assert set(bridge.delivered(topics.record("home", "gw-1", "w-001", "metric"))) <= {
        topics.status("home", "gw-1"), topics.status("home", "gw-2"), topics.record("home", "gw-1", "w-001", "metric")
    }  # fmt: skip


def test_the_checks_notice_a_broker_that_lets_anybody_in(stack: Path, tmp_path: Path) -> None:
    settings = (ROOT / "config" / "mosquitto" / "mosquitto.conf").read_text()
    with running(stack, tmp_path, settings.replace("allow_anonymous false", "allow_anonymous true")) as open_broker:
        anybody = Client(open_broker, "", "")
        assert anybody.reason.value == 0
        anybody.close()
