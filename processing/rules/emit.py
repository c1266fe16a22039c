"""Where the rules' events are made: one place for their ids, their origin and their order."""

from __future__ import annotations

from processing.rules.base import event_id
from processing.rules.explain import Origin
from processing.types import Event, Json


class Emitter:
    """Collects the events of one call; `take` hands them over."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._out: list[Event] = []

    def id_of(self, t_utc_ns: int, type_: str, rule: str | None, about: str = "") -> str:
        """The id that `emit` would give; ``about`` tells apart what one rule says at one instant."""
        kind = ":".join(part for part in (type_, rule, about) if part)
        return event_id(self._origin.sensor, kind, t_utc_ns, self._origin.study_hash)

    def emit(self, t_utc_ns: int, type_: str, rule: str | None, data: dict[str, Json], about: str = "") -> str:
        """Emit an event and return its id."""
        id_ = self.id_of(t_utc_ns, type_, rule, about)
        self._out.append(Event(t_utc_ns, id_, type_, rule, self._origin.of(rule) | data))
        return id_

    def mark(self) -> int:
        """A place in the order of this call's events."""
        return len(self._out)

    def has_since(self, mark: int, type_: str) -> bool:
        """Whether an event of the type was emitted after `mark`."""
        return len(self._out) > mark and any(event.type == type_ for event in self._out[mark:])

    def take(self) -> list[Event]:
        """All events since the last call."""
        out, self._out = self._out, []
        return out
