"""Commands over MQTT: who is heard, what is refused and counted, on the gateway's own judge and on a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from processing.coaching.controls import SetMode, SetProgramme
from processing.pipeline import CaptureNeutral
from processing.rules.study import Study
from sensor_gateway.clock import SystemClock
from sensor_gateway.commands.command import CommandError
from sensor_gateway.commands.receiver import Receiver
from sensor_gateway.config import Commands, ConfigError, Issuer, Mqtt, Sensor, Settings, Site, Web
from sensor_gateway.gateway import Gateway
from sensor_gateway.mqtt_link import Incoming, Link, LinkError, LinkSettings
from sensor_gateway.stack.access import SiteUsers, gateway_access, password_line, site_access
from sensor_gateway.wire import commands as wire
from sensor_gateway.wire import topics
from tests.integration.servers import Mosquitto, need, wait_until

NS = 10**9
NOW = 1_790_000_000 * NS
KEY, OTHER_KEY = "k" * 64, "o" * 64
TOPIC = topics.command("home", "gw-1")


class SetClock:
    def __init__(self) -> None:
        self.now = NOW

    def utc_ns(self) -> int:
        return self.now

    def mono_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += round(seconds * NS)


def settings_of(folder: Path, mqtt: Mqtt | None = None) -> Settings:
    (folder / "key").write_text(KEY)
    (folder / "narrow").write_text(OTHER_KEY)
    issuers = (Issuer("pt-1", "key"), Issuer("pt-2", "narrow", ("w-002",)))
    sensors = (Sensor("clip-1", "w-001"), Sensor("clip-2", "w-002"))
    return Settings(Site(data_dir="data"), sensors, commands=Commands(issuers), mqtt=mqtt or Mqtt())


class Desk:
    """A receiver without a broker, and what it carried out."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.done = folder, SetClock(), list[tuple[str, object]]()
        self.refuse = ""
        self.receiver = self.new()

    def new(self) -> Receiver:
        return Receiver(settings_of(self.folder), self.folder, self.clock, self.carry_out)

    def carry_out(self, wearer: str, control: object) -> None:
        if self.refuse:
            raise CommandError(self.refuse)
        self.done.append((wearer, control))

    def say(self, payload: bytes, *, topic: str = TOPIC, retain: bool = False) -> wire.Receipt | None:
        return self.receiver.judge(Incoming(topic, payload, 1, 1, retain))


def body(
    n: int = 1, asked: wire.Asked | None = None, wearer: str = "w-001", at: int = NOW, lasts_s: int = 60
) -> wire.Body:
    return wire.Body(f"{n:032x}", wearer, at, at + lasts_s * NS, asked or wire.Snooze(30))


def signed(what: wire.Body, issuer: str = "pt-1", key: str = KEY, topic: str = TOPIC) -> bytes:
    return wire.sign(topic, issuer, key, what)


def test_each_command_becomes_its_control(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    entries = Study().programme
    asked: list[wire.Asked] = [
        wire.Calibrate(8.0), wire.Snooze(30), wire.Stop(), wire.Stop(90), wire.Resume(), wire.Programme(entries)
    ]  # fmt: skip
    for n, one in enumerate(asked):
        receipt = desk.say(signed(body(n, one)))
        assert receipt is not None
        assert (receipt.done, receipt.id) == (True, f"{n:032x}")
    assert [control for _, control in desk.done] == [
        CaptureNeutral(8.0),
        SetMode("tracking", 30),
        SetMode("stopped"),
        SetMode("stopped", 90),
        SetMode("training"),
        SetProgramme(entries, "pt-1"),
    ]
    assert desk.receiver.refusals.total() == 0


def tampered(payload: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(payload), **changes}).encode()


GOOD = signed(body())
STRANGE = {
    "size": [b" " * 9000, GOOD + b" " * 9000],
    "form": [b"", b"null", b"[]", b"\xff\xfe", b"{}", tampered(GOOD, v=2), tampered(GOOD, mac="0" * 63), tampered(GOOD, more=1)],
    "issuer": [tampered(GOOD, issuer="nobody")],
    "signature": [
        tampered(GOOD, mac="0" * 64),
        tampered(GOOD, body=json.loads(GOOD)["body"].replace("w-001", "w-002")),
        tampered(GOOD, issuer="pt-2"),
        signed(body(), key=OTHER_KEY),
        signed(body(), topic=topics.command("home", "gw-2")),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "payload"), [(kind, p) for kind, ps in STRANGE.items() for p in ps])
def test_a_stranger_is_refused_and_told_nothing(tmp_path: Path, kind: str, payload: bytes) -> None:
    desk = Desk(tmp_path)
    assert desk.say(payload) is None
    assert desk.done == []
    assert desk.receiver.refusals.counts() == {kind: 1}


@pytest.mark.parametrize(
    ("kind", "payload", "why"),
    [
        ("expired", signed(body(at=NOW - 61 * NS)), "expired"),
        ("time", signed(body(at=NOW + 61 * NS)), "future"),
        ("lasting", signed(body(lasts_s=301)), "at most 300 s"),
        ("lasting", signed(body(lasts_s=0)), "at most 300 s"),
        ("wearer", signed(body(wearer="w-009")), "may not command for w-009"),
        ("wearer", signed(body(), "pt-2", OTHER_KEY), "pt-2 may not command for w-001"),
        ("value", signed(body(asked=wire.Programme(Study().programme * 9))), "at most 12"),
    ],
)
def test_who_signs_hears_why_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, payload: bytes, why: str
) -> None:
    desk = Desk(tmp_path)
    receipt = desk.say(payload)
    assert receipt is not None
    assert not receipt.done
    assert why in receipt.reason
    assert desk.done == []
    assert desk.receiver.refusals.counts() == {kind: 1}
    assert f"command refused ({kind}) from the broker" in caplog.text


def test_replays_are_refused_also_after_a_restart_and_by_another_body(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.say(GOOD).done  # type: ignore[union-attr]
    for _ in range(3):
        again = desk.say(GOOD)
        assert again is not None
        assert not again.done
        assert "heard before" in again.reason
    desk.receiver = desk.new()
    assert not desk.say(GOOD).done  # type: ignore[union-attr]
    assert not desk.say(signed(body(1, wire.Stop()))).done  # type: ignore[union-attr]
    assert desk.say(signed(body(9)), retain=True) is None
    assert desk.say(signed(body(9)), topic=topics.command("home", "gw-2")) is None
    assert desk.done == [("w-001", SetMode("tracking", 30))]


def test_a_command_the_gateway_cannot_take_is_spent_and_the_rate_is_bounded(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.refuse = "The gateway's disk is full."
    refused = desk.say(GOOD)
    assert refused is not None
    assert refused.reason == desk.refuse
    desk.refuse = ""
    assert not desk.say(GOOD).done  # type: ignore[union-attr]
    outcomes = [desk.say(signed(body(n))).done for n in range(10, 30)]  # type: ignore[union-attr]
    assert sum(outcomes) == 8, "ten a minute, two are spent"
    assert desk.receiver.refusals.counts()["rate"] == 12
    others = signed(body(99, wearer="w-002"), "pt-2", OTHER_KEY)
    assert desk.say(others).done, "each issuer has an own allowance"  # type: ignore[union-attr]


def test_a_short_key_stops_the_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "key").write_text("short")
    with pytest.raises(ConfigError, match=r"commands.issuers\[0\].key_file.*shorter than 32"):
        Receiver(settings, tmp_path, SetClock(), lambda *_: None)


# On a real broker, with the access list and password file of `tiltline init-stack`.

USERS = ("gw-1", "gw-2", "bridge", "therapist")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    need("mosquitto")
    server = Mosquitto(tmp_path / "mosquitto")
    (server.folder / "passwd").write_text("".join(password_line(u, f"{u}-secret") + "\n" for u in USERS))
    for user in USERS:
        (server.folder / f"{user}.password").write_text(f"{user}-secret")
    access = site_access("home", SiteUsers()) + gateway_access("home", "gw-1", ["w-001"])
    (server.folder / "acl").write_text(access + gateway_access("home", "gw-2", ["w-002"]))
    try:
        server.start()
        yield server
    finally:
        server.kill9()


def link(broker: Mosquitto, user: str, *subscribe: str) -> Link:
    mqtt = Mqtt(True, "127.0.0.1", broker.port, True, "ca.crt", user, f"{user}.password", 20, 5)
    return Link.connect(LinkSettings(mqtt, broker.folder, f"t-{user}-{time.monotonic_ns()}", subscribe))


INBOX: defaultdict[Link, list[bytes]] = defaultdict(list)
"""What came to a link while it was asked something else."""


def outcome(sender: Link, topic: str, payload: bytes, retain: bool = False) -> str:
    """What the broker says to a message: nothing where it took it."""
    mid = sender.publish(topic, payload, retain)
    said: list[str] = []

    def answered() -> bool:
        came = sender.poll(0.1)
        INBOX[sender] += [m.payload for m in came.messages]
        for m in came.messages:
            sender.acknowledge(m)
        said.extend("" for m in came.published if m == mid)
        said.extend(r.reason for r in came.refused if r.mid == mid)
        return bool(said)

    wait_until("the broker's answer", answered)
    return said[0]


def heard(listener: Link, seconds: float, least: int = 0) -> list[bytes]:
    """What came: ``least`` messages, however long they take, and what follows within ``seconds``."""
    got = INBOX.pop(listener, [])

    def listen() -> bool:
        for m in listener.poll(0.1).messages:
            listener.acknowledge(m)
            got.append(m.payload)
        return len(got) >= least

    wait_until(f"{least} messages", listen)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        listen()
    return got


@pytest.mark.servers
def test_only_the_therapists_user_reaches_a_gateway_and_only_it_hears_the_receipt(broker: Mosquitto) -> None:
    gateway = link(broker, "gw-1", TOPIC)
    therapist = link(broker, "therapist", topics.receipt("home", "gw-1"), "#")
    curious = link(broker, "gw-2", "#", TOPIC, topics.receipt("home", "gw-1"), "tiltline/v1/home/+/command")
    bridge = link(broker, "bridge", "#")
    links = (gateway, therapist, curious, bridge)
    try:
        for sender in (gateway, curious, bridge):
            assert outcome(sender, TOPIC, GOOD) == "Not authorized"
        assert outcome(therapist, "tiltline/v1/clinic/gw-1/command", GOOD) == "Not authorized"
        assert outcome(therapist, topics.record("home", "gw-1", "w-001", "metric"), b"x") == "Not authorized"
        assert outcome(therapist, topics.durable("home", "gw-1"), b"x") == "Not authorized"
        assert outcome(curious, topics.receipt("home", "gw-1"), b"x") == "Not authorized"
        assert outcome(curious, topics.record("home", "gw-1", "w-001", "metric"), b"x") == "Not authorized"
        assert outcome(therapist, TOPIC, GOOD) == ""
        assert outcome(gateway, topics.receipt("home", "gw-1"), b"receipt") == ""
        assert outcome(gateway, topics.record("home", "gw-1", "w-001", "metric"), b"record") == ""
        assert heard(gateway, 0.5, 1) == [GOOD]
        assert set(heard(therapist, 0.5, 1)) == {b"receipt"}  # once for each of its subscriptions
        assert heard(curious, 0.5) == []
        assert set(heard(bridge, 0.5, 1)) == {b"record"}
    finally:
        for one in links:
            one.close()
    with pytest.raises(LinkError, match="refuses"):
        link(broker, "")
    log = broker.said()
    assert "not authorised" in log


@pytest.mark.servers
@pytest.mark.slow
def test_a_command_travels_from_the_command_line_into_the_journal_once(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = broker.folder
    (base / "key").write_text(KEY)
    mqtt = Mqtt(True, "127.0.0.1", broker.port, True, "ca.crt", "gw-1", "gw-1.password", 20, 5)
    sensor = Sensor("clip-1", "w-001", driver="synthetic")
    settings = Settings(
        Site(data_dir=str(tmp_path / "data")),
        (sensor,),
        Web(enabled=False),
        Commands((Issuer("pt-1", "key"),)),
        mqtt,
    )
    (tmp_path / "therapist.toml").write_text(
        f'[mqtt]\nenabled = true\nport = {broker.port}\nca_file = "{base}/ca.crt"\nusername = "therapist"\n'
        f'password_file = "{base}/therapist.password"\n'
    )
    said: list[subprocess.CompletedProcess[str]] = []

    def ask(*words: str, issuer: str = "pt-1", key: str = "key", wearer: str = "w-001") -> None:
        command = [sys.executable, "-m", "sensor_gateway.cli", "command", "--config", str(tmp_path / "therapist.toml")]
        command += ["--issuer", issuer, "--key-file", str(base / key), "--gateway", "gw-1", "--wearer", wearer, *words]
        said.append(
            subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))
        )

    async def main() -> dict[str, dict[str, int]]:
        gateway = Gateway(settings, Study(), base, SystemClock())
        stop = asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))
        try:
            subscribed = f"commands 1 {TOPIC}"
            await asyncio.to_thread(wait_until, "the gateway listening", lambda: subscribed in broker.said())
            await asyncio.to_thread(ask, "snooze", "--minutes", "30")
            await asyncio.to_thread(ask, "calibrate", wearer="w-009")
            body_ = wire.Body("a" * 32, "w-001", time.time_ns(), time.time_ns() + 60 * NS, wire.Snooze(5))
            therapist = link(broker, "therapist", topics.receipt("home", "gw-1"))
            payload = signed(body_)
            for _ in range(3):
                therapist.publish(TOPIC, payload)
            therapist.publish(TOPIC, b"x" * 20_000)
            receipts = [
                msgspec.json.decode(r, type=wire.Receipt) for r in await asyncio.to_thread(heard, therapist, 1.0, 3)
            ]
            therapist.close()
            assert [r.done for r in receipts] == [True, False, False]
        finally:
            stop.set()
            await asyncio.wait_for(running, 60)
        assert gateway._vital_numbers()["refused_command_replay"] == 2
        return gateway.report().refusals

    counts = asyncio.run(main())
    assert said[0].returncode == 0, said[0].stderr
    assert said[1].returncode == 1
    assert "may not command for w-009" in said[1].stderr
    assert counts == {"page": {}, "command": {"wearer": 1, "replay": 2, "size": 1}}
    assert "command refused (replay)" in caplog.text
    assert KEY not in caplog.text + said[0].stdout + said[0].stderr
