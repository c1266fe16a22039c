"""Everything that travels through a site's broker, held against `docs/asyncapi.json`: topic, payload, QoS, retained, properties.

A gateway with a recording and two live sensors, one of several bridges, commands written from the document alone, entries from
the page, a kill and a goodbye; somebody who may read everything listens.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from sensor_gateway.cli.page_client import PageClient
from sensor_gateway.config import Mqtt, Settings
from sensor_gateway.privacy.remote import clear
from sensor_gateway.stack.access import SiteUsers, gateway_access, password_line, site_access
from tests.integration.servers import Stack, Tiltline, free_port, wait_until
from tests.integration.test_delivery import START, write_recording
from tests.wire.document import Document, Promise, complaints, damaged

pytestmark = [pytest.mark.servers, pytest.mark.slow]

USERS = ("gw-1", "bridge", "therapist", "watcher")
COMMANDS, STATUS = "tiltline/v1/home/gw-1/command", "tiltline/v1/home/gw-1/status"
KEY = "k" * 64
NS = 10**9
TOLD = "stairs at home"
DOCUMENT = Document()


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as the broker delivered it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: dict[str, Any]

    @property
    def body(self) -> dict[str, Any]:
        """Empty where the message takes a retained one away."""
        return dict(json.loads(self.payload)) if self.payload else {}


class Client:
    """A stranger's client over TLS; what it hears is kept as it was published (QoS, retained)."""

    def __init__(self, stack: Stack, user: str, subscribe: str = "") -> None:
        self.seen: list[Seen] = []
        self._subscribe, self._ready = subscribe, threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.tls_set(f"{stack.broker.folder}/ca.crt")
        self._client.username_pw_set(user, f"{user}-secret")
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", stack.broker.port)
        self._client.loop_start()
        assert self._ready.wait(60)

    def _on_connect(self, *_: Any) -> None:
        if self._subscribe:
            self._client.subscribe(self._subscribe, options=SubscribeOptions(qos=2, retainAsPublished=True))
        else:
            self._ready.set()

    def _on_message(self, _client: Any, _data: Any, m: paho.MQTTMessage) -> None:
        said = m.properties.json() if m.properties is not None else {}
        self.seen.append(Seen(m.topic, bytes(m.payload), m.qos, bool(m.retain), said))

    def publish(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(60)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def command_by_hand(wearer: str) -> str:
    """A command written from the document alone."""
    (promise,) = DOCUMENT.channels["command"]
    properties = promise.schema["properties"]
    now_ns = time.time_ns()
    body = json.dumps(
        {
            "id": secrets.token_hex(16),
            "wearer": wearer,
            "issued_utc_ns": now_ns,
            "expires_utc_ns": now_ns + 60 * NS,
            "command": {"type": "snooze", "minutes": 30},
        }
    )
    (signed,) = re.findall(r"UTF-8 text (\S+ command\S+)", properties["mac"]["description"])
    text = signed.replace("\\n", "\n").format(topic=COMMANDS, issuer="pt-1", body=body)
    mac = hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    return json.dumps({"v": properties["v"]["const"], "issuer": "pt-1", "body": body, "mac": mac})


@contextmanager
def site(folder: Path) -> Iterator[Stack]:
    """The servers, with the access list and password file of `tiltline init-stack`, and one more user who reads everything."""
    stack = Stack(folder)
    broker = stack.broker.folder
    (broker / "passwd").write_text("".join(password_line(u, f"{u}-secret") + "\n" for u in USERS))
    for user in USERS:
        (broker / f"{user}.password").write_text(f"{user}-secret")
    access = site_access("home", SiteUsers()) + gateway_access("home", "gw-1", ["w-001", "w-002"])
    (broker / "acl").write_text(f"{access}\nuser watcher\ntopic read #\n")
    with stack.running():
        yield stack


def gateway_of(stack: Stack, recording: Path, port: int) -> Tiltline:
    (stack.folder / "pt-1.key").write_text(KEY)
    blocks = "".join(
        f'[[sensors]]\nid = "{sensor}"\nwearer = "{wearer}"\ndriver = "{driver}"\noptions = {{ {options} }}\n'
        for sensor, wearer, driver, options in (
            (
                "clip-1",
                "w-001",
                "replay",
                f'path = "{recording}", start = "{START}", speed = 0.0, neutral = "10:14"',
            ),
            ("clip-2", "w-001", "synthetic", "seed = 2, hours = 0.05"),
            ("clip-3", "w-002", "synthetic", "seed = 3, hours = 0.05"),
        )
    )
    issuer = f'[[commands.issuers]]\nid = "pt-1"\nkey_file = "{stack.folder}/pt-1.key"\n'
    config = f'[site]\ndata_dir = "data"\n{blocks}[web]\nport = {port}\n{issuer}{stack.mqtt_toml("gw-1")}'
    return stack.add(Tiltline(stack.folder / "gateway", "run", config))


def asked_by_command_line(stack: Stack) -> None:
    config = stack.folder / "therapist.toml"
    config.write_text(stack.mqtt_toml("therapist"))
    words = [sys.executable, "-m", "sensor_gateway.cli", "command", "--config", str(config), "--issuer", "pt-1"]
    words += ["--key-file", str(stack.folder / "pt-1.key"), "--gateway", "gw-1", "--wearer", "w-002", "resume"]
    subprocess.run(words, check=True, capture_output=True, timeout=60)


def lived(stack: Stack, watcher: Client, folder: Path) -> list[Seen]:
    """A site's short life; all that was published in it."""
    write_recording(folder / "walk.parquet")
    port = free_port()
    bridge, gateway = stack.bridge("bridge", "--shared"), gateway_of(stack, folder / "walk.parquet", port)

    def wait_for(what: str, test: Callable[[Seen], bool], after: int = 0) -> None:
        wait_until(what, lambda: any(test(m) for m in watcher.seen[after:]), 120)

    def kind(name: str) -> Callable[[Seen], bool]:
        return lambda m: m.topic.endswith(f"/{name}")

    def receipt_of(done: bool) -> Callable[[Seen], bool]:
        return lambda m: kind("receipt")(m) and m.body["done"] is done

    bridge.start()
    gateway.start()
    for name in ("metric", "epoch", "event", "device", "status", "durable"):
        wait_for(f"a message of {name}", kind(name))
    wait_for("a bridge that carries", lambda m: kind("status")(m) and "bridge" in m.body)
    wait_for("a flag", lambda m: m.body.get("data", {}).get("type") == "flag")
    wait_for("what the bridge has", lambda m: kind("durable")(m) and m.body["up_to"] > 900)
    wait_until("the gateway listening", lambda: f"commands 1 {COMMANDS}" in stack.broker.said())
    therapist = Client(stack, "therapist")
    try:
        for wearer, done in (("w-001", True), ("w-009", False)):
            therapist.publish(COMMANDS, command_by_hand(wearer))
            wait_for(f"a receipt that says {done}", receipt_of(done))
    finally:
        therapist.close()
    asked_by_command_line(stack)
    page = PageClient(f"http://127.0.0.1:{port}", "w-001", None)
    page.send("POST", "/api/log", {"kind": "pain", "score": 3, "note": TOLD})
    wait_for("the entry", lambda m: m.body.get("data", {}).get("type") == "pain")
    before = len(watcher.seen)
    gateway.kill9()
    wait_for("the last will", lambda m: kind("status")(m) and not m.body["online"], before)
    before = len(watcher.seen)
    gateway.start()
    wait_for("the gateway again", lambda m: kind("status")(m) and m.body["online"], before)
    before = len(watcher.seen)
    gateway.stop()
    wait_for("the goodbye", lambda m: kind("status")(m) and not m.body["online"], before)
    bridge.stop()
    return list(watcher.seen)


def differs(m: Seen, promise: Promise) -> list[str]:
    """How a message differs from what the document promises; its payload has been looked at."""
    _, parameters = DOCUMENT.channel_of(m.topic)
    found = [f"{name} is {m.body[name]} within" for name, said in parameters.items() if m.body.get(name, said) != said]
    if (m.qos, m.retain) != (promise.qos, promise.retain):
        found.append(f"QoS {m.qos}, retained {m.retain}")
    if m.properties:
        found.append(f"properties {m.properties}")
    if len(m.payload) > promise.max_bytes:
        found.append(f"{len(m.payload)} bytes")
    return found


def test_everything_on_the_broker_is_as_the_document_says(tmp_path: Path) -> None:
    with site(tmp_path) as stack:
        watcher = Client(stack, "watcher", "#")
        try:
            seen = lived(stack, watcher, tmp_path)
            late = Client(stack, "watcher", "#")
            wait_until("what is retained", lambda: len(late.seen) >= 2)
            late.close()
            before = len(seen)
            mqtt = Mqtt(True, "127.0.0.1", stack.broker.port, True, "ca.crt", "gw-1", "gw-1.password", 20, 5)
            clear(Settings(mqtt=mqtt), stack.broker.folder, [STATUS])
            wait_until("the kept status gone", lambda: len(watcher.seen) > before)
            (cleared,) = watcher.seen[before:]
        finally:
            watcher.close()
    promises = [(m, DOCUMENT.promise_of(m.topic, m.body)) for m in seen]
    assert [(m.topic, what) for m, promise in promises if (what := differs(m, promise))] == []
    assert {promise.name for _, promise in promises} == DOCUMENT.names, "every message of the document was met"
    assert {m.body["sensor"] for m in seen if "sensor" in m.body} == {"clip-1", "clip-2", "clip-3"}
    assert {"v": 1, "online": False} in [m.body for m in seen], "the last will"
    assert {(m.topic.split("/")[-1], m.retain) for m in late.seen} == {("status", True), ("durable", True)}
    assert (cleared.topic, cleared.payload, cleared.retain) == (STATUS, b"", True)
    assert not [m for m in seen if TOLD.encode() in m.payload], "notes stay on the gateway"
    tried = {(promise.name, m.body.get("data", {}).get("type")): (m, promise) for m, promise in promises}
    types = {type_ for name, type_ in tried if name == "event"}
    assert {"alignment", "gap", "flag", "suppressed", "episode_start", "pain", "mode"} <= types
    passed = [
        (promise.name, what)
        for m, promise in tried.values()
        for what, bad in damaged(promise.schema, m.body)
        if not complaints(promise.schema, bad)
    ]
    assert passed == [], "damaged messages that the document lets pass"
