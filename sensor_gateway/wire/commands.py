"""A command on the wire: an envelope with a MAC around a body, and the few things a body may ask.

    {"v": 1, "issuer": "pt-1", "body": "{...}", "mac": "hex"}      the envelope
    {"id": "...", "wearer": "w-001", "issued_utc_ns": ..., "expires_utc_ns": ..., "command": {"type": "snooze", "minutes": 30}}

The MAC (HMAC-SHA256 with the issuer's own key) covers topic, issuer and body, so a command for one gateway is none for
another. The body travels as text: what was signed is what is read, byte by byte.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Final, TypeAlias

import msgspec

from processing.coaching.controls import SetMode, SetProgramme
from processing.coaching.programme import check_entries
from processing.pipeline import CaptureNeutral
from processing.rules.study import Assignment
from sensor_gateway.wire.messages import VERSION, Id, Time

MAX_BYTES: Final = 8 * 1024
CommandId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=7 * 24 * 60)]


class RefusedError(Exception):
    """A command that is not carried out: ``kind`` to count it by, and a sentence."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class Calibrate(msgspec.Struct, tag="calibrate", forbid_unknown_fields=True):
    """Take the neutral pose now."""

    duration_s: Annotated[float, msgspec.Meta(ge=2, le=30)] = 5.0


class Snooze(msgspec.Struct, tag="snooze", forbid_unknown_fields=True):
    """No prompts for a while; recording goes on."""

    minutes: Minutes


class Stop(msgspec.Struct, tag="stop", forbid_unknown_fields=True):
    """No prompts until they are switched on again, or for ``minutes``."""

    minutes: Minutes | None = None


class Resume(msgspec.Struct, tag="resume", forbid_unknown_fields=True):
    """Prompts may come again."""


class Programme(msgspec.Struct, tag="programme", forbid_unknown_fields=True):
    """A new programme from the wearer's next local day."""

    entries: tuple[Assignment, ...]


Asked: TypeAlias = Calibrate | Snooze | Stop | Resume | Programme


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What is signed."""

    id: CommandId
    wearer: Id
    issued_utc_ns: Time
    expires_utc_ns: Time
    command: Asked


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """What travels."""

    v: int
    issuer: Id
    body: str
    mac: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class Receipt(msgspec.Struct, forbid_unknown_fields=True):
    """What became of a command whose signature held."""

    v: int
    id: CommandId
    done: bool
    reason: str
    t_utc_ns: Time


_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_BODY: Final = msgspec.json.Decoder(Body)


def sign(topic: str, issuer: str, key: str, body: Body) -> bytes:
    """The message that carries ``body`` to the gateway behind ``topic``."""
    text = msgspec.json.encode(body).decode()
    return msgspec.json.encode(Envelope(VERSION, issuer, text, _mac(topic, issuer, key, text)))


def open_envelope(payload: bytes) -> Envelope:
    """The checked envelope, its signature not yet; raises `RefusedError`."""
    if len(payload) > MAX_BYTES:
        raise RefusedError("size", f"{len(payload)} bytes; a command has at most {MAX_BYTES}")
    try:
        envelope = _ENVELOPE.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise RefusedError("form", str(e)[:200]) from None
    if envelope.v != VERSION:
        raise RefusedError("form", f"version {envelope.v} is not known here")
    return envelope


def signed_body(topic: str, envelope: Envelope, key: str) -> Body:
    """The body behind a signature that holds; raises `RefusedError`."""
    if not hmac.compare_digest(_mac(topic, envelope.issuer, key, envelope.body), envelope.mac):
        raise RefusedError("signature", f"the signature of {envelope.issuer} does not hold")
    try:
        return _BODY.decode(envelope.body)
    except (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError) as e:
        raise RefusedError("form", str(e)[:200]) from None


def control(asked: Asked, issuer: str) -> CaptureNeutral | SetMode | SetProgramme:
    """The journaled control that carries it out; raises `RefusedError` where its values cannot work."""
    try:
        match asked:
            case Calibrate():
                return CaptureNeutral(asked.duration_s)
            case Snooze():
                return SetMode("tracking", asked.minutes)
            case Stop():
                return SetMode("stopped", asked.minutes)
            case Resume():
                return SetMode("training")
            case Programme():
                check_entries(asked.entries, "'entries[{}]")
                return SetProgramme(asked.entries, issuer)
    except ValueError as e:
        raise RefusedError("value", str(e)) from None


def _mac(topic: str, issuer: str, key: str, body: str) -> str:
    said = f"tiltline command\n{topic}\n{issuer}\n{body}".encode("utf-8", "surrogatepass")
    return hmac.new(key.encode(), said, hashlib.sha256).hexdigest()
