"""The states of one sensor's connection, which of them may follow which, and what a session counts. No I/O.

searching ─► connecting ─► starting ─► streaming ◄─► stalled
  ▲   ▲          │             │            │            │
  │   └── lost ◄─┴─────────────┴────────────┴────────────┘        any failure; then a pause
  └── no_adapter   the adapter is absent, off, or nobody serves it; looked for every second
refused            the adapter's link budget is spent: nothing is tried
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

LinkState: TypeAlias = Literal[
    "searching", "connecting", "starting", "streaming", "stalled", "lost", "no_adapter", "refused"
]

FOLLOWS: Final[dict[LinkState | None, frozenset[LinkState]]] = {
    None: frozenset({"searching", "refused", "no_adapter"}),
    "searching": frozenset({"connecting", "lost", "no_adapter"}),
    "connecting": frozenset({"starting", "lost", "no_adapter"}),
    "starting": frozenset({"streaming", "lost", "no_adapter"}),
    "streaming": frozenset({"stalled", "lost", "no_adapter"}),
    "stalled": frozenset({"streaming", "lost", "no_adapter"}),
    "lost": frozenset({"searching"}),
    "no_adapter": frozenset({"searching"}),
    "refused": frozenset(),
}
"""State to those that may come next; None is before the first."""

Failure: TypeAlias = Literal["missing", "adapter", "connect", "gatt", "silent", "unread", "ended", "stranger"]
"""Why a connection ended or never was:

missing: no advertisement; adapter: no adapter to look with; connect: it advertises, but connecting fails; gatt: connected,
but subscribing or a command fails; silent: connected, but nothing comes; unread: what comes gives no samples; ended: the link
broke after samples had come; stranger: another device answers at the address.
"""


class StateError(RuntimeError):
    """A state that cannot follow the present one: a fault of the session, never of the radio."""


def follow(before: LinkState | None, state: LinkState) -> LinkState:
    """``state``, where it may follow ``before``; raises `StateError`."""
    if state not in FOLLOWS[before]:
        raise StateError(f"{state} cannot follow {before}")
    return state


@dataclass(frozen=True, slots=True)
class LinkStats:
    """What the session knows of its connection, for status and device records. Battery comes with the data."""

    state: LinkState | None = None
    adapter: str = ""  # its address or name; empty: the system's first
    rssi_dbm: int | None = None  # of the last advertisement; a connected link tells none
    firmware: str | None = None
    connections: int = 0
    failures: int = 0
    restarts: int = 0  # start sequences written again because data stayed away
    bonds: int = 0  # pairings made because the sensor asked for one
    payloads: int = 0
    payload_bytes: int = 0
    samples: int = 0
    late: int = 0  # payloads that the sensor had kept and sent on request
    dropped: int = 0
    last_failure: Failure | None = None
    last_error: str = ""
    alarm: str = ""  # what somebody should do; empty where nothing is needed
