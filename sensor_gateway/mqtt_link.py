"""One MQTT 5 connection, driven by one thread: the small adapter over paho that the MQTT sink and the bridge share.

A link is made for one connection and thrown away with it, so nothing of paho's own queues outlives a connection: what must
survive lies in the outbox or in the bridge's queue. Everything happens inside `poll`; there is no second thread.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from sensor_gateway.config import Mqtt
from sensor_gateway.secrets import MQTT_VARIABLE, read_secret

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 10.0
BURST: Final = 1000
"""Packets handled in one `poll`, so that they can be committed together."""
PACKET_BYTES: Final = 16
"""Of a published packet beside topic and payload, at most: header, lengths, id, no properties."""
SHARED: Final = "$share/"
TAKEN_OVER: Final = 0x8E
TOO_LARGE: Final = 0x95
_WRONG_TIME: Final = (9, 10)  # OpenSSL: not valid yet, expired
_WRONG_NAME: Final = (62, 64)  # not made for this host name, for this address
SHARED_ID: Final = 1
"""Subscription identifier of shared subscriptions: the broker gives it back with each message that came by one."""


class LinkError(Exception):
    """The broker cannot be reached or refuses; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that has arrived and is not acknowledged yet (`Link.acknowledge`)."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    retain: bool = False  # kept by the broker from earlier
    shared: bool = False  # came by a shared subscription: no other client of its group has it


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker did not take a message; MQTT 5 says why."""

    mid: int
    reason: str
    too_large: bool = False

    def remedy(self, access: str) -> str:
        """What to do; ``access`` where it is the access list."""
        return "raise the broker's 'message_size_limit'" if self.too_large else access


@dataclass(slots=True)
class Heard:
    """What one `poll` brought."""

    messages: list[Incoming] = field(default_factory=list)
    published: list[int] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Who connects and how; ``session_s`` is how long the broker keeps the session (0: not at all)."""

    mqtt: Mqtt
    base: Path
    client_id: str
    subscribe: Sequence[str]
    will: tuple[str, bytes] | None = None
    session_s: int = 0
    inflight: int = 20
    receive_most: int | None = None  # messages the broker may have on their way to us at once


class Link:
    """An established connection with its subscriptions; made by `connect`."""

    def __init__(self, settings: LinkSettings) -> None:
        """Use `connect`."""
        self._settings = settings
        self._heard = Heard()
        self._ready: ReasonCode | None = None
        self._subscribed: list[ReasonCode] | None = None
        self._down: ReasonCode | None = None  # what the broker said when it hung up
        self._activity = 0
        self._largest: int | None = None  # bytes of a packet, where the broker has a limit
        self.room = settings.inflight
        self.resumed = False
        """Whether the broker had kept a session of this client."""
        mqtt = settings.mqtt
        self._where = f"broker {mqtt.host}:{mqtt.port}"
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=settings.client_id, protocol=paho.MQTTv5, manual_ack=True
        )
        client.max_inflight_messages_set(settings.inflight)
        client.connect_timeout = CONNECT_TIMEOUT_S
        if mqtt.tls:
            client.tls_set_context(self._tls())
        if mqtt.username:
            password = read_secret(mqtt.password_file, MQTT_VARIABLE, settings.base, "mqtt.password_file")
            client.username_pw_set(mqtt.username, password or None)
        if settings.will is not None:
            client.will_set(settings.will[0], settings.will[1], qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client

    @classmethod
    def connect(cls, settings: LinkSettings) -> Link:
        """Connect and subscribe; raises `LinkError` (or `ConfigError` where a secret cannot be read)."""
        link = cls(settings)
        try:
            link._open()
        except BaseException:
            link.close()
            raise
        return link

    def _tls(self) -> ssl.SSLContext:
        ca_file = self._settings.mqtt.ca_file
        try:
            return ssl.create_default_context(cafile=str(self._settings.base / ca_file) if ca_file else None)
        except (OSError, ssl.SSLError) as e:
            raise LinkError(f"key 'mqtt.ca_file': {ca_file} cannot be used ({e}); give the broker's CA as PEM") from e

    def _open(self) -> None:
        s = self._settings
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it unannotated
        properties.SessionExpiryInterval = s.session_s
        if s.receive_most is not None:
            properties.ReceiveMaximum = s.receive_most
        try:
            self._client.connect(
                s.mqtt.host, s.mqtt.port, s.mqtt.keepalive_s, clean_start=s.session_s == 0, properties=properties
            )
        except ssl.SSLCertVerificationError as e:
            raise LinkError(f"{self._where}: {e.verify_message}; {_certificate_remedy(e, s.mqtt.host)}") from e
        except ssl.SSLError as e:
            raise LinkError(
                f"{self._where} does not speak TLS there ({e.reason or e}); correct 'mqtt.port', or set 'mqtt.tls = false'"
            ) from e
        except (OSError, ValueError) as e:
            raise LinkError(f"{self._where} does not answer ({e}); start it or correct 'mqtt.host', 'mqtt.port'") from e
        self._until(lambda: self._ready is not None, "connection")
        if s.subscribe:
            self.subscribe(s.subscribe)

    def certificate_ends_s(self) -> int | None:
        """Until when the broker's certificate holds [s since 1970]; None without TLS."""
        socket = self._client.socket()
        shown = socket.getpeercert() if isinstance(socket, ssl.SSLSocket) else None
        return ssl.cert_time_to_seconds(str(shown["notAfter"])) if shown else None

    def subscribe(self, subscriptions: Sequence[str]) -> None:
        """Subscribe (or again: the broker then sends what it has retained) and wait until the broker has confirmed it."""
        properties = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]  # paho leaves it unannotated
        shared = all(topic.startswith(SHARED) for topic in subscriptions)
        if shared:  # only so can a copy that came by the group be told from one that everybody gets
            properties.SubscriptionIdentifier = SHARED_ID
        self._subscribed = None
        options = [(topic, SubscribeOptions(qos=1)) for topic in subscriptions]
        self._client.subscribe(options, properties=properties if shared else None)
        self._until(lambda: self._subscribed is not None, "subscription")
        answers: list[ReasonCode] = self._subscribed or []
        for topic, code in zip(subscriptions, answers, strict=False):
            if code.is_failure:
                raise LinkError(f"{self._where} refuses the subscription to {topic} ({code}); check its access list")

    def unsubscribe(self, topic: str) -> None:
        """Hear no more of it, except what is on its way."""
        self._client.unsubscribe(topic)

    def _until(self, done: Any, what: str) -> None:
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not done():
            if time.monotonic() > deadline:
                raise LinkError(f"{self._where} did not confirm the {what} within {CONNECT_TIMEOUT_S:.0f} s")
            self._step(0.2)

    def poll(self, timeout_s: float) -> Heard:
        """Wait up to ``timeout_s`` for traffic and handle all there is; raises `LinkError` when the connection is gone."""
        self._step(timeout_s)
        for _ in range(BURST):
            before = self._activity
            self._step(0.0)
            if self._activity == before:
                break
        heard, self._heard = self._heard, Heard()
        return heard

    def _step(self, timeout_s: float) -> None:
        code = self._client.loop(timeout_s)
        if self._ready is not None and self._ready.is_failure:
            user = self._settings.mqtt.username
            raise LinkError(f"{self._where} refuses '{user}' ({self._ready}); check user and password")
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkError(self._lost(code))

    def _lost(self, code: MQTTErrorCode) -> str:
        """Why there is no connection any more, as far as the broker told."""
        down, client = self._down, self._settings.client_id
        if down is not None and down.value == TAKEN_OVER:
            return f"{self._where}: another client logs in as '{client}'; give each gateway a 'site.gateway' of its own"
        if down is not None and down.value == TOO_LARGE:
            return f"{self._where}: a message was too large for it; raise its 'max_packet_size'"
        if down is None and self._ready is None:
            return f"{self._where} hangs up at once; if it speaks TLS there set 'mqtt.tls = true', else see its log"
        again = f"where that happens again and again, another client logs in as '{client}'"  # few brokers say so
        return f"{self._where}: connection lost ({down or paho.error_string(code)}); {again}"

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> int:
        """Hand a message over with QoS 1; its id comes back in `Heard.published` or `Heard.refused`."""
        if self._largest is not None and len(topic) + len(payload) + PACKET_BYTES > self._largest:  # paho does not look
            most = f"{self._where} takes packets of at most {self._largest} bytes"
            raise LinkError(f"{most}, and a message to {topic} has {len(payload)}; raise its 'max_packet_size'")
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_QUEUE_SIZE):
            raise LinkError(self._lost(info.rc))
        return info.mid

    def acknowledge(self, message: Incoming) -> None:
        """Tell the broker that a message is safe here."""
        self._client.ack(message.mid, message.qos)

    def close(self) -> None:
        """Say goodbye (no last will) and close the socket; safe on a broken link."""
        self._client.disconnect()
        deadline = time.monotonic() + 1.0
        while self._client.socket() is not None and time.monotonic() < deadline:
            if self._client.loop(0.05) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        # A client closes its sockets when it is deleted. While it knows us that waits for a search for cyclic garbage, in a service
        # for hours, and each attempt at a broker that refuses would hold two more descriptors until then.
        client = self._client
        client.on_connect = client.on_disconnect = client.on_subscribe = client.on_publish = client.on_message = None

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        self._ready = reason
        self.resumed = bool(flags.session_present)
        # paho does not heed how much the broker will have in flight; a broker hangs up on who sends more.
        self.room = min(self.room, getattr(properties, "ReceiveMaximum", self.room))
        self._largest = getattr(properties, "MaximumPacketSize", None)
        self._activity += 1

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:  # told once more when the socket closes, then without the reason
            self._down = reason

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        self._subscribed = reasons
        self._activity += 1

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._heard.refused.append(Refused(mid, str(reason), reason.value == TOO_LARGE))
        else:
            self._heard.published.append(mid)
        self._activity += 1

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        shared = SHARED_ID in getattr(message.properties, "SubscriptionIdentifier", ())
        incoming = Incoming(topic, bytes(message.payload), message.mid, message.qos, message.retain, shared)
        self._heard.messages.append(incoming)
        self._activity += 1


def _certificate_remedy(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code in _WRONG_TIME:
        return "check this machine's clock; else make a new certificate ('Certificates end' in docs/operations.md)"
    if error.verify_code in _WRONG_NAME:
        return f"set 'mqtt.host' to a name in the broker's certificate, or make one for {host} (tiltline init-stack --name)"
    return "point 'mqtt.ca_file' at the broker's CA"
