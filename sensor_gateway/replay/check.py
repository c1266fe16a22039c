"""Is what was stored what follows from the journal? `tiltline replay --check`, with the likely reason where it is not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from processing.dictionary import KINDS
from sensor_gateway.replay.rederive import Difference, compare
from sensor_gateway.sinks.makers import Maker, differing
from sensor_gateway.sinks.store import Store


@dataclass(frozen=True, slots=True)
class Checked:
    """Differences by wearer and kind; who stored the records, and the versions that computed them again."""

    found: Mapping[str, Difference]
    stored: tuple[Maker, ...]
    here: Maker

    @property
    def same(self) -> bool:
        return all(d.is_none for d in self.found.values())

    def sentence(self) -> str:
        """Why they may differ and what to do about it."""
        rows = sum(d.different + d.only_stored + d.only_replayed for d in self.found.values())
        told = f"{rows} records differ from what the gateway stored"
        others = [m for m in self.stored if not m.versions or differing(m.versions, self.here.versions)]
        if self.stored and not others:
            return f"{told} with the same version ({words(self.here.versions)}): were settings or study changed meanwhile? --diff FILE shows what changed"
        if not others or not others[-1].versions:
            return f"{told}: an earlier release stored some of them, which did not note its version. --diff FILE shows what changed"
        pairs = differing(others[-1].versions, self.here.versions)
        was = ", ".join(f"{name} {a}" for name, (a, _) in pairs.items())
        now = ", ".join(f"{name} {b}" for name, (_, b) in pairs.items())
        by = "stored by" if len(self.stored) == 1 else "some stored by"
        return (
            f"{told}: {by} {was}, this is {now}. Another version may compute otherwise; --diff FILE shows what changed"
        )


def words(versions: Mapping[str, Any]) -> str:
    """Tiltline's version, for a person."""
    return f"tiltline {versions.get('tiltline', 'of an unknown version')}"


def check(stored: Store, replayed: Store, worn: Mapping[str, Collection[str]]) -> Checked:
    """Compare everything of each wearer's sensors, record by record. ``replayed`` is signed."""
    found = {
        f"{w} {kind}": compare(stored, replayed, w, kind, sensors) for w, sensors in worn.items() for kind in KINDS
    }
    return Checked(found, tuple(stored.makers()), replayed.makers()[-1])
