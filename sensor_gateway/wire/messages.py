"""Messages: records to JSON and back, with every field checked on the way in.

The outbox keeps a record as the JSON object that later stands in a message's ``data``; `Message` wraps it for MQTT. Types
are strict and ranges are the dictionary's. Unknown fields are ignored, since a newer gateway may add some; a known field
never changes its meaning within ``v`` 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from processing.dictionary import EVENT_TYPES, KINDS, MAX_T_UTC_NS
from processing.types import KIND_OF, POSTURES, DeviceReport, Epoch, Event, Metric, Record

VERSION: Final = 1
MAX_BYTES: Final = 64 * 1024
Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Spool = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Time = Annotated[int, msgspec.Meta(ge=0, le=MAX_T_UTC_NS)]


class MessageError(ValueError):
    """Bytes that are no valid message or record; says which field and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One outbox row: the record as the JSON object it was stored as, whom it belongs to, and its place in the queue.

    ``seq`` numbers the rows of one spool from 1; ``floor`` is the lowest row this sink had not confirmed when this one
    was read, ``after`` the row before it (``floor - 1`` for the first). A receiver that has everything up to ``after``
    has everything up to ``seq`` with this row, whatever was dropped in between.
    """

    seq: int
    after: int
    floor: int
    wearer: str
    sensor: str
    kind: str
    t_utc_ns: int
    body: bytes


class Message(msgspec.Struct, frozen=True):
    """A record on its way. ``seq``, ``after`` and ``floor`` are those of `Entry`; they count within ``spool``, the
    random id of the gateway's spool file: a replaced file starts a count of its own.
    """

    v: int
    kind: str
    site: Id
    wearer: Id
    sensor: Id
    gateway: Id
    spool: Spool
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**62)]
    after: Sequence
    floor: Sequence
    t_utc_ns: Time
    data: msgspec.Raw


class Durable(msgspec.Struct, frozen=True, omit_defaults=True):
    """The bridge's word to a gateway: everything of this spool up to ``up_to`` is on disk.

    With ``bridge`` it says too that this one of several bridges carries the gateway from now on (`bridge/share.py`).
    """

    v: int
    spool: Spool
    up_to: Sequence
    bridge: Id | None = None


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """A gateway's retained status; its last will is the same with ``online`` false and nothing else."""

    v: int
    online: bool
    t_utc_ns: Time | None = None
    spool: Spool | None = None
    queued: Sequence | None = None
    durable_up_to: Sequence | None = None
    counters: dict[str, int] = {}
    vitals: dict[str, float] = {}
    bridge: Id | None = None
    """Which of several bridges carries this gateway; none: the only one does, or one is looked for."""


class _EventBody(msgspec.Struct):
    """`Event` as it stands in a message; its free ``data`` is any JSON object."""

    t_utc_ns: int
    event_id: str
    type: str
    rule: str | None
    data: dict[str, Any]


_EVENT: Final = msgspec.json.Decoder(_EventBody)
_OTHERS: Final[dict[str, msgspec.json.Decoder[Record]]] = {
    "metric": msgspec.json.Decoder(Metric),
    "epoch": msgspec.json.Decoder(Epoch),
    "device": msgspec.json.Decoder(DeviceReport),
}
_MESSAGE = msgspec.json.Decoder(Message)
_DURABLE = msgspec.json.Decoder(Durable)
_STATUS = msgspec.json.Decoder(Status)


def _plain(value: object) -> object:
    """A numpy scalar that found its way into a record, as the number it is."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a record cannot hold {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
_BOUNDS: Final = {
    kind: [
        (f.name, -math.inf if f.low is None else f.low, math.inf if f.high is None else f.high)
        for f in fields
        if f.name != "t_utc_ns" and (f.low is not None or f.high is not None)  # the time is told in years
    ]
    for kind, fields in KINDS.items()
}


def encode_record(record: Record) -> bytes:
    """The record as a JSON object; a value that is not finite becomes null."""
    return _ENCODER.encode(record)


def decode_record(kind: str, body: bytes) -> Record:
    """A checked record; raises `MessageError` naming the field."""
    try:
        if kind == "event":
            e = _EVENT.decode(body)
            record: Record = Event(e.t_utc_ns, e.event_id, e.type, e.rule, e.data)
        else:
            record = _OTHERS[kind].decode(body)
    except KeyError:
        raise MessageError(f"kind {kind[:40]!r} is none of {', '.join(KINDS)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MessageError(f"{kind}: {error}") from None
    check_record(record)
    return record


def check_record(record: Record) -> None:
    """Raise `MessageError` where a value lies outside what the dictionary allows."""
    kind = KIND_OF[type(record)]
    if not 0 <= record.t_utc_ns <= MAX_T_UTC_NS:
        raise MessageError(f"{kind}: t_utc_ns {record.t_utc_ns} lies outside 1970..2100")
    for name, low, high in _BOUNDS[kind]:
        value = getattr(record, name)
        if value is not None and not low <= value <= high:
            raise MessageError(f"{kind}: {name} is {value!r}, outside {low:g}..{high:g}")
    if isinstance(record, Metric) and record.posture not in POSTURES:
        raise MessageError(f"metric: posture {record.posture[:40]!r} is none of {', '.join(POSTURES)}")
    if isinstance(record, Event):
        if record.type not in EVENT_TYPES:
            raise MessageError(f"event: type {record.type[:40]!r} is none of {', '.join(EVENT_TYPES)}")
        if not 0 < len(record.event_id) <= 64:
            raise MessageError(f"event: event_id has {len(record.event_id)} characters; 1 to 64 are allowed")


def encode_message(entry: Entry, site: str, gateway: str, spool: str) -> bytes:
    """An outbox row as a message."""
    return _ENCODER.encode(
        Message(
            VERSION,
            entry.kind,
            site,
            entry.wearer,
            entry.sensor,
            gateway,
            spool,
            entry.seq,
            entry.after,
            entry.floor,
            entry.t_utc_ns,
            msgspec.Raw(entry.body),
        )
    )


def decode_message(payload: bytes) -> Message:
    """The checked envelope (its ``data`` goes through `decode_record`); raises `MessageError`."""
    if len(payload) > MAX_BYTES:
        raise MessageError(f"{len(payload)} bytes; a message has at most {MAX_BYTES}")
    try:
        message = _MESSAGE.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise MessageError(str(e)) from None
    if message.v != VERSION:
        raise MessageError(f"version {message.v} is not known here; update this side")
    if not message.floor - 1 <= message.after < message.seq:
        raise MessageError(f"seq {message.seq}, after {message.after}, floor {message.floor} contradict each other")
    return message


def message_record(message: Message) -> Record:
    """The checked record inside; raises `MessageError`, also where it contradicts its envelope."""
    record = decode_record(message.kind, bytes(message.data))
    if record.t_utc_ns != message.t_utc_ns:
        raise MessageError(f"t_utc_ns is {message.t_utc_ns} outside and {record.t_utc_ns} inside data")
    return record


def encode_durable(spool: str, up_to: int, bridge: str | None = None) -> bytes:
    """The payload of `Durable`."""
    return _ENCODER.encode(Durable(VERSION, spool, up_to, bridge))


def decode_durable(payload: bytes) -> Durable:
    """The bridge's word; raises `MessageError`."""
    try:
        durable = _DURABLE.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise MessageError(str(e)) from None
    if durable.v != VERSION:
        raise MessageError(f"version {durable.v} is not known here; update this side")
    return durable


def encode_status(status: Status) -> bytes:
    """The payload of `Status`."""
    return _ENCODER.encode(status)


def decode_status(payload: bytes) -> Status:
    """A gateway's checked status; raises `MessageError`."""
    if len(payload) > MAX_BYTES:
        raise MessageError(f"{len(payload)} bytes; a message has at most {MAX_BYTES}")
    try:
        status = _STATUS.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise MessageError(str(e)) from None
    if status.v != VERSION:
        raise MessageError(f"version {status.v} is not known here; update this side")
    return status
