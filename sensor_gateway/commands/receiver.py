"""The gateway's ear for commands: a connection of its own to the broker, one thread, every message judged before it acts.

Size, form, who signed, the signature, the rate, whose wearer, the time, then the ledger: in this order, so that a stranger
costs little and learns nothing. Only a command whose signature held gets a receipt (`.../receipt`).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from processing.coaching.controls import SetMode, SetProgramme
from processing.pipeline import CaptureNeutral
from sensor_gateway.clock import Clock
from sensor_gateway.commands.command import CommandError
from sensor_gateway.commands.ledger import LEDGER_FILE, Ledger
from sensor_gateway.config import ConfigError, Settings
from sensor_gateway.mqtt_link import Incoming, Link, LinkError, LinkSettings
from sensor_gateway.rates import Buckets, Rate
from sensor_gateway.secrets import read_secret
from sensor_gateway.sinks.base import Backoff, Complaints
from sensor_gateway.status.refusals import Refusals, shown
from sensor_gateway.wire import topics
from sensor_gateway.wire.commands import Body, Receipt, RefusedError, control, open_envelope, signed_body
from sensor_gateway.wire.messages import VERSION

log = logging.getLogger(__name__)

LEAST_CHARS: Final = 32
AHEAD_NS: Final = 60 * 10**9
"""How far an issuer's clock may be ahead of the gateway's."""
POLL_S: Final = 0.2
IN_FLIGHT: Final = 20

CarryOut: TypeAlias = Callable[[str, CaptureNeutral | SetMode | SetProgramme], None]
"""``carry_out(wearer, control)`` returns once the control is journaled; raises `CommandError`. Called in our thread."""


class Receiver:
    """Judges commands and hands the good ones on. `judge` needs no broker; `run` listens to one."""

    def __init__(self, settings: Settings, base: Path, clock: Clock, carry_out: CarryOut) -> None:
        """Read the issuers' keys; raises `ConfigError`."""
        site = settings.site
        self.topic, self._reply = topics.command(site.id, site.gateway), topics.receipt(site.id, site.gateway)
        self.refusals = Refusals("command")
        self.trouble: str | None = None
        self._clock, self._carry_out, self._limits = clock, carry_out, settings.commands
        self._keys: dict[str, str] = {}
        for i, issuer in enumerate(settings.commands.issuers):
            key = f"commands.issuers[{i}].key_file"
            secret = read_secret(issuer.key_file, "", base, key) if issuer.key_file else ""
            if len(secret) < LEAST_CHARS:
                raise ConfigError(
                    f"key '{key}': the key in {issuer.key_file!r} is shorter than {LEAST_CHARS} characters"
                )
            self._keys[issuer.id] = secret
        self._wearers = {i.id: frozenset(i.wearers) for i in settings.commands.issuers}
        self._here = frozenset(s.wearer for s in settings.sensors)
        self._rates = Buckets(Rate(settings.commands.per_minute, settings.commands.per_minute / 60))
        self._ledger = Ledger(base / site.data_dir / LEDGER_FILE)
        self._link_settings = LinkSettings(
            settings.mqtt, base, f"tiltline-{site.id}-{site.gateway}-commands", (self.topic,), receive_most=IN_FLIGHT
        )

    def run(self, stop: threading.Event) -> None:
        """Listen until ``stop``; a broker that is away is waited for."""
        backoff, complaints = Backoff(), Complaints()
        while not stop.is_set():
            try:
                self._listen(stop, backoff)
            except (LinkError, ConfigError) as e:
                log.log(complaints.level(str(e)), "commands: %s; trying again", e)
                self.trouble = str(e)
                stop.wait(backoff.next_s())
        self._ledger.close()

    def _listen(self, stop: threading.Event, backoff: Backoff) -> None:
        link = Link.connect(self._link_settings)
        self.trouble = None
        try:
            while not stop.is_set():
                for message in link.poll(POLL_S).messages:
                    link.acknowledge(message)
                    receipt = self.judge(message)
                    if receipt is not None:
                        link.publish(self._reply, msgspec.json.encode(receipt))
                    backoff.reset()
        finally:
            link.close()

    def judge(self, message: Incoming) -> Receipt | None:
        """Carry it out or refuse it; the receipt for whoever signed it, None for a stranger. Raises nothing."""
        body: Body | None = None
        try:
            if message.retain:
                # The broker would say it again at every connection; who sends commands does not leave them lying.
                raise RefusedError("retained", "a command must not be retained")
            if message.topic != self.topic:
                raise RefusedError("topic", f"topic {shown(message.topic)} is not this gateway's")
            envelope = open_envelope(message.payload)
            key = self._keys.get(envelope.issuer)
            if key is None:
                raise RefusedError("issuer", f"nobody here is called {envelope.issuer}")
            body = signed_body(message.topic, envelope, key)
            self._permit(body, envelope.issuer)
            act = control(body.command, envelope.issuer)
            self._once(body, envelope.issuer)
            self._do(body, act, envelope.issuer)
        except RefusedError as e:
            self.refusals.note(e.kind, "the broker", str(e))
            return None if body is None else self._receipt(body, done=False, reason=str(e))
        return self._receipt(body, done=True, reason="")

    def _permit(self, body: Body, issuer: str) -> None:
        if self._rates.take(issuer):
            raise RefusedError("rate", f"{issuer} sent more than {self._limits.per_minute} commands a minute")
        allowed = self._wearers[issuer]
        if body.wearer not in self._here or (allowed and body.wearer not in allowed):
            raise RefusedError("wearer", f"{issuer} may not command for {body.wearer} here")
        now_ns, most_ns = self._clock.utc_ns(), self._limits.most_age_s * 10**9
        if not body.issued_utc_ns < body.expires_utc_ns <= body.issued_utc_ns + most_ns:
            raise RefusedError("lasting", f"a command lasts at most {self._limits.most_age_s} s")
        if body.issued_utc_ns > now_ns + AHEAD_NS:
            raise RefusedError("time", "it was made in the future; compare the clocks of both machines")
        if body.expires_utc_ns <= now_ns:
            raise RefusedError("expired", "it has expired; send it again, and compare the clocks of both machines")

    def _once(self, body: Body, issuer: str) -> None:
        asked = msgspec.json.encode(body.command).decode()
        try:
            first = self._ledger.enter(body.id, issuer, body.wearer, asked, self._clock.utc_ns(), body.expires_utc_ns)
        except sqlite3.Error as e:
            raise RefusedError("ledger", f"the list of commands cannot be written ({e})") from None
        if not first:
            raise RefusedError("replay", f"command {body.id} was heard before")

    def _do(self, body: Body, act: CaptureNeutral | SetMode | SetProgramme, issuer: str) -> None:
        what = type(act).__name__
        try:
            self._carry_out(body.wearer, act)
        except CommandError as e:
            self._settle(body.id, str(e))
            raise RefusedError("gateway", str(e)) from None
        self._settle(body.id, "done")
        log.warning("command %s of %s for %s: %s carried out", body.id, issuer, body.wearer, what)

    def _settle(self, id_: str, outcome: str) -> None:
        try:
            self._ledger.settle(id_, outcome)
        except sqlite3.Error as e:
            log.warning("commands: the outcome of %s cannot be written (%s)", id_, e)

    def _receipt(self, body: Body, *, done: bool, reason: str) -> Receipt:
        return Receipt(VERSION, body.id, done, reason, self._clock.utc_ns())
