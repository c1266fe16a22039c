"""What stays on the gateway: the free text of notes, unless the configuration sends it (`[privacy] send_notes`)."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from sensor_gateway.wire.messages import Entry


def without_note(entry: Entry) -> Entry:
    """The outbox row with an event's ``note`` made null; any other row as it is."""
    if entry.kind != "event" or b'"note":' not in entry.body:
        return entry
    body = msgspec.json.decode(entry.body)
    if not isinstance(body["data"].get("note"), str):
        return entry
    body["data"]["note"] = None
    return replace(entry, body=msgspec.json.encode(body))
