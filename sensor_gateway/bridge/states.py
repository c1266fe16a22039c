"""What gateways say of themselves (`status`), and what the bridge says of itself, as points for the operations dashboard.

Measurements `gateway` and `bridge` (tags: `STATE_TAGS`), by the bridge's clock; the fields are those of
`processing.dictionary.STATES`. Kept in memory only: a status is retained at the broker and comes again every half minute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from processing.dictionary import STATES
from sensor_gateway.clock import Clock
from sensor_gateway.mqtt_link import Incoming
from sensor_gateway.spool.books import DROPPED
from sensor_gateway.status.refusals import Refusals, shown
from sensor_gateway.status.report import REFUSED, Report
from sensor_gateway.status.status import NS
from sensor_gateway.wire import topics
from sensor_gateway.wire.messages import MessageError, Status, decode_status
from sensor_gateway.wire.topics import TopicError

GATEWAYS_MAX: Final = 1000
MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class State:
    """A gateway's status and when it came; ``live``: just sent, not kept by the broker from earlier."""

    site: str
    gateway: str
    status: Status
    heard_utc_ns: int
    live: bool


class GatewayStates:
    """The newest status of each gateway."""

    def __init__(self, clock: Clock, refusals: Refusals) -> None:
        self._clock, self._refusals = clock, refusals
        self._states: dict[tuple[str, str], State] = {}

    def take(self, message: Incoming) -> State | None:
        """Keep a status; None where it is none of ours (a refusal)."""
        try:
            site, gateway = topics.parse_status(message.topic)
            status = decode_status(message.payload)
        except (TopicError, MessageError) as e:
            self._refusals.note("status", shown(message.topic), shown(str(e)))
            return None
        if (site, gateway) not in self._states and len(self._states) >= GATEWAYS_MAX:
            self._refusals.note("status", shown(message.topic), f"more than {GATEWAYS_MAX} gateways")
            return None
        state = State(site, gateway, status, self._clock.utc_ns(), not message.retain)
        self._states[site, gateway] = state
        return state

    def forget(self, site: str, gateway: str) -> None:
        """Another bridge speaks for this gateway."""
        self._states.pop((site, gateway), None)

    def numbers(self) -> dict[str, dict[str, float]]:
        """Per "site/gateway" the fields of `STATES["gateway"]` that are known."""
        return {f"{site}/{gateway}": _gateway_fields(state) for (site, gateway), state in list(self._states.items())}

    def lines(self) -> list[str]:
        """A point of each gateway, at the time its status came."""
        return [
            point("gateway", {"site": s.site, "gateway": s.gateway}, _gateway_fields(s), s.heard_utc_ns)
            for s in list(self._states.values())
        ]


def _gateway_fields(state: State) -> dict[str, float]:
    status, counters, signs = state.status, state.status.counters, state.status.vitals
    fields: dict[str, float] = {"online": float(status.online)}
    if not status.online or status.t_utc_ns is None:
        return fields
    fields |= {
        "received": counters.get("mqtt_received", 0),
        "delivered": counters.get("mqtt_delivered", 0),
        "dropped": sum(n for name, n in counters.items() if name.startswith(DROPPED)),
        "set_aside": counters.get("records_set_aside", 0),
        "queued": status.queued or 0,
        "refused": sum(n for name, n in signs.items() if name.startswith(REFUSED) and math.isfinite(n)),
    }
    if state.live:
        fields["clock_offset_s"] = round((status.t_utc_ns - state.heard_utc_ns) / NS, 3)
    for name, scale, field in (
        ("disk_free_bytes", MB, "disk_free_mb"),
        ("memory_bytes", MB, "memory_mb"),
        ("open_fds", 1, "open_fds"),
        ("dbus_connections", 1, "dbus_connections"),
        ("clock_step_s", 1, "clock_step_s"),
        ("lag_s", 1, "lag_s"),
    ):
        value = signs.get(name)
        if value is not None and math.isfinite(value):
            fields[field] = value / scale
    return fields


def own_line(report: Report) -> str:
    """The bridge's point."""
    hop, extra, signs = report.books.hops[0], report.books.extra, report.vitals
    fields: dict[str, float | None] = {
        "received": hop.received,
        "written": hop.written,
        "rejected": hop.rejected,
        "dropped": hop.dropped,
        "queued": hop.queued,
        "lag_s": hop.lag_s,
        "duplicates": extra["duplicates"],
        "dead_letters": extra["dead_letters"],
        "disk_free_mb": signs.disk_free_bytes / MB,
        "memory_mb": None if signs.memory_bytes is None else signs.memory_bytes / MB,
        "open_fds": signs.open_fds,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    return point("bridge", {"site": report.site, "bridge": report.gateway}, known, report.t_utc_ns)


def point(measurement: str, tags: dict[str, str], values: dict[str, float], t_utc_ns: int) -> str:
    """A line of a measurement of `STATES`; fields it does not know are left out."""
    fields = []
    for field in STATES[measurement]:
        if field.name in values:
            value = values[field.name]
            fields.append(f"{field.name}={int(value)}i" if field.type == "int64" else f"{field.name}={float(value)!r}")
    head = ",".join([measurement, *(f"{key}={tags[key]}" for key in sorted(tags))])
    return f"{head} {','.join(fields)} {t_utc_ns}"
