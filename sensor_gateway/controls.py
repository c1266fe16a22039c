"""Controls as journal entries: what changes the computation besides payloads, in the same order and replayed with them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

import msgspec

from processing.coaching.controls import COACH_CONTROLS
from processing.pipeline import Answer, CaptureMovement, CaptureNeutral, Control, DeviceStatus
from sensor_gateway.drivers.base import Received

UUID: Final = "control"
_KINDS: Final[dict[str, type[Control]]] = {
    c.__name__: c for c in (CaptureNeutral, CaptureMovement, Answer, DeviceStatus, *COACH_CONTROLS)
}


class ControlError(ValueError):
    """A journaled control that this version cannot read."""


def encode(control: Control, mono_ns: int, utc_ns: int) -> Received:
    """The control as the journal keeps it, at its time."""
    body = {"control": type(control).__name__, **asdict(control)}
    return Received(UUID, json.dumps(body, separators=(",", ":")).encode(), mono_ns, utc_ns)


def decode(entry: Received) -> Control:
    """The control in a journal entry; raises `ControlError`."""
    try:
        body = json.loads(entry.payload)
        kind = _KINDS[body.pop("control")]
        control: Control = msgspec.convert(body, kind)
    except (ValueError, KeyError, TypeError, AttributeError, msgspec.ValidationError) as e:
        raise ControlError(f"journaled control {entry.payload[:80]!r} cannot be read ({e})") from e
    return control
