"""Which gateways this one of several bridges carries.

The broker deals the statuses of gateways out among the bridges (an MQTT 5 shared subscription): a gateway whose status names
no bridge is taken by the one bridge that gets it. This bridge then subscribes to all of that gateway's records, so each wearer's
order stays what it was, and says so; the gateway sends again from its last confirmed row and names its bridge in its
status. A gateway that hears nothing for a while names none again. Everybody hears every status besides, and so learns who was
taken by another bridge, and whom to take when it carries less than its share. See `docs/adr/0013-several-bridges.md`.

Two bridges that carry one gateway for a moment do no harm: each writes its rows in order, and a row twice is one point.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from sensor_gateway.bridge.states import State
from sensor_gateway.clock import Clock
from sensor_gateway.wire.messages import Status

BALANCE_S: Final = 10.0
"""How often the shares are looked at; a gateway nobody took in the meantime is taken then."""
FIRST_LOOK_S: Final = 3.0
"""A bridge that is new takes its share this soon; what gateways last said has come by then."""
_NS: Final = 1_000_000_000

Key = tuple[str, str]
"""Site and gateway."""


class Part(Enum):
    """What a status asks this bridge to do."""

    CARRY = auto()
    RELEASE = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class _Said:
    status: Status
    mono_ns: int


class Share:
    """What is known of all gateways, and the ones carried here; no I/O."""

    def __init__(self, name: str, clock: Clock) -> None:
        """``name`` tells this bridge from the others and stays its own through restarts."""
        self.name = name
        self.carried: set[Key] = set()
        self._clock = clock
        self._said: dict[Key, _Said] = {}
        self._looked_ns = clock.mono_ns() - round((BALANCE_S - FIRST_LOOK_S) * _NS)

    def hear(self, state: State, dealt: bool) -> Part:
        """Take a status; ``dealt``: it came to this bridge alone."""
        key, status = (state.site, state.gateway), state.status
        self._said[key] = _Said(status, self._clock.mono_ns())
        if not status.online:
            return Part.NOTHING
        if status.bridge is None:
            return Part.CARRY if dealt else Part.NOTHING
        if status.bridge == self.name:  # not carried: since a restart of this bridge
            return Part.NOTHING if key in self.carried else Part.CARRY
        if key in self.carried:
            self.carried.remove(key)
            return Part.RELEASE
        return Part.NOTHING

    def carry(self, site: str, gateway: str) -> tuple[str, int] | None:
        """Count this gateway among the carried ones: its spool and up to where it knows it delivered.

        None where it has not said so.
        """
        said = self._said.get((site, gateway))
        if said is None or said.status.spool is None:
            return None
        self.carried.add((site, gateway))
        return said.status.spool, said.status.durable_up_to or 0

    def due(self) -> list[Key]:
        """Gateways to take now: those without a bridge for long, and from the busiest bridge up to a fair share."""
        now_ns = self._clock.mono_ns()
        if now_ns - self._looked_ns < BALANCE_S * _NS:
            return []
        self._looked_ns = now_ns
        online = {key: said for key, said in self._said.items() if said.status.online}
        bridge_of = {key: said.status.bridge for key, said in online.items() if said.status.bridge is not None}
        alone = [key for key in online.keys() - bridge_of.keys() if now_ns - online[key].mono_ns >= BALANCE_S * _NS]
        fair = len(online) // len({*bridge_of.values(), self.name})
        load = Counter(bridge_of.values())
        taken: list[Key] = []
        while load[self.name] + len(taken) < fair and load:
            busiest, most = load.most_common(1)[0]
            if most <= load[self.name] + len(taken) + 1 or busiest == self.name:
                break
            taken.append(min(key for key, bridge in bridge_of.items() if bridge == busiest and key not in taken))
            load[busiest] -= 1
        return sorted(alone) + taken
