"""`tiltline erase`: one wearer out of every store, file, queue and message, with a receipt and a proof by search.

Places (`place.py`) are the files of the gateways and bridges that held her; their processes are stopped meanwhile. Each step counts what it finds before it deletes and can be repeated, and
`erase-pending.json` remembers the counts: after a crash the same command goes on where it was. The receipt names the wearer
only by a salted hash.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from sensor_gateway.export import registry
from sensor_gateway.privacy import files, sqlite_files
from sensor_gateway.privacy.exports import erase_exports
from sensor_gateway.privacy.place import PENDING, EraseError, Place, check, locked
from sensor_gateway.privacy.proof import search_files
from sensor_gateway.privacy.remote import Database, clear, drain, retained
from sensor_gateway.secrets import INFLUX_VARIABLE, read_secret
from sensor_gateway.status.status import BRIDGE_FILE, SPOOL_FILE, STORE_FILE
from sensor_gateway.whole_files import write_whole

RECEIPTS: Final = "receipts"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased and what a search still found; ``path`` is where it lies."""

    content: dict[str, Any]
    path: Path

    @property
    def complete(self) -> bool:
        return bool(self.content["complete"])


def erase(found: Sequence[Place], wearer: str, influx_token: str | None = None, say: Say = lambda _: None) -> Receipt:
    """Erase, search, and write the receipt into the first place's folder.

    Raises `EraseError` before anything is changed; `ScrubError`, `RemoteError`, `LinkError`, `QueueError` or ``OSError`` where
    a step cannot be finished: the same command then goes on.
    """
    check(found, wearer)
    with locked(found):
        pending = _Pending(found[0].folder / PENDING, wearer)
        steps = [pending.at(i, say) for i in range(len(found))]
        for place, step in zip(found, steps, strict=True):
            if place.is_gateway:
                _gateway(place, wearer, step)
        accounts = [place for place in found if place.settings.mqtt.enabled]
        if accounts:
            steps[found.index(accounts[0])]("broker", partial(_broker, accounts, wearer))
        for place, step in zip(found, steps, strict=True):
            if place.is_bridge:
                _bridge(place, wearer, influx_token, step)
        say("search")
        residues, searched = prove(found, wearer, influx_token)
        others = _bridges_elsewhere(found, influx_token)
        return _finish(found, pending, residues, searched, others)


Step = Callable[[str, Callable[[], dict[str, int]]], None]


def _gateway(place: Place, wearer: str, step: Step) -> None:
    folder, sink = place.folder, place.settings.file
    if (folder / SPOOL_FILE).is_file():
        step("spool", lambda: sqlite_files.erase_spool(folder / SPOOL_FILE, wearer))
    if (folder / STORE_FILE).is_file():
        step("store", lambda: sqlite_files.erase_store(folder / STORE_FILE, wearer))
    if sink.directory:
        step("file sink", lambda: {"file_lines": files.erase_records(place.base / sink.directory, wearer)})
    step("notes", lambda: {"alignment_notes": files.erase_notes(folder, wearer)})
    step("derivations", lambda: {"derived_records": files.erase_derivations(folder, wearer)})
    step("states", lambda: {"states": files.erase_states(folder, wearer)})
    step("exports", lambda: erase_exports(folder, wearer))
    step("names and consent", lambda: files.erase_person(folder, wearer))


def _broker(accounts: Sequence[Place], wearer: str) -> dict[str, int]:
    """What any of the places' accounts can see is cleared by each that may."""
    seen = sorted({topic for p in accounts for topic in retained(p.settings, p.base, wearer)})
    for place in accounts if seen else ():
        clear(place.settings, place.base, seen)
    left = {topic for p in accounts for topic in retained(p.settings, p.base, wearer)} if seen else set()
    return {"retained_messages": len(seen) - len(left)}


def _bridge(place: Place, wearer: str, token: str | None, step: Step) -> None:
    def drained() -> dict[str, int]:
        drain(place.settings, place.base)
        return {}

    def cleared() -> dict[str, int]:
        database = _database(place, token)
        before = database.points(wearer)
        database.erase(wearer)
        return {"influx_points": before}

    if place.settings.mqtt.enabled:
        step("broker's session", drained)
    step("bridge queue", lambda: sqlite_files.erase_queue(place.folder / BRIDGE_FILE, wearer))
    step("influxdb", cleared)


def _database(place: Place, token: str | None) -> Database:
    influx = place.settings.influx
    own = (
        token if token is not None else read_secret(influx.token_file, INFLUX_VARIABLE, place.base, "influx.token_file")
    )
    return Database(influx, own)


def _bridges_elsewhere(found: Sequence[Place], token: str | None) -> list[str]:
    """Bridges that wrote points of themselves into the places' databases and are none of the places."""
    named = {
        f"{place.settings.site.id}/{name}"
        for place in found
        if place.is_bridge
        for name in _database(place, token).bridges(place.settings.site.id)
    }
    return sorted(named - {place.name for place in found})


def prove(found: Sequence[Place], wearer: str, influx_token: str | None = None) -> tuple[list[str], dict[str, int]]:
    """Where the wearer is still found, as sentences, and how much was searched."""
    paths: list[Path] = []
    for place in found:
        sink = place.settings.file
        paths += [place.folder, place.config]
        paths += [place.base / name for name in (sink.directory, place.settings.study) if name]
        paths += [Path(k.path) for k in registry.known(place.folder) if Path(k.path).exists()]
    own = {(place.folder / PENDING).resolve() for place in found}
    paths = [f for p in paths for f in (sorted(p.rglob("*")) if p.is_dir() else [p]) if f.resolve() not in own]
    residues, files_searched = search_files([p for p in paths if p.is_file()], wearer)
    searched = {"files": files_searched, "brokers": 0, "databases": 0}
    for place in found:
        # Under other labels nothing in it names her.
        hers = {k.path for k in registry.known(place.folder) if wearer in k.wearers and Path(k.path).exists()}
        residues += [f"{path}: an export made with her data; delete it" for path in sorted(hers)]
        if place.settings.mqtt.enabled:
            searched["brokers"] += 1
            where = f"{place.settings.mqtt.host}:{place.settings.mqtt.port}"
            residues += [
                f"broker {where}: retained message at {t}" for t in retained(place.settings, place.base, wearer)
            ]
        if place.is_bridge:
            searched["databases"] += 1
            points = _database(place, influx_token).points(wearer)
            residues += [f"{place.settings.influx.url}: {points} points"] if points else []
    return residues, searched


class _Pending:
    """Counts of the steps so far, durable; a step that is done is repeated by a second run and adds what it still finds."""

    def __init__(self, path: Path, wearer: str) -> None:
        self.path, self.wearer = path, wearer
        state: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        if state and state["wearer"] != wearer:
            raise EraseError(
                f"{path}: the erasure of {state['wearer']} is not finished; run `tiltline erase {state['wearer']}` first"
            )
        self.began = state.get("began", _now())
        self.counts: dict[str, dict[str, int]] = state.get("counts", {})
        self._save()

    def at(self, place: int, say: Say) -> Step:
        """`step` for one place."""
        return lambda name, do: self.step(f"{place}:{name}", do, say)

    def step(self, name: str, do: Callable[[], dict[str, int]], say: Say) -> None:
        say(name.split(":", 1)[1])
        before = self.counts.get(name, {})
        found = do()
        self.counts[name] = {k: before.get(k, 0) + found.get(k, 0) for k in before | found}
        self._save()

    def _save(self) -> None:
        state = {"wearer": self.wearer, "began": self.began, "counts": self.counts}
        write_whole(self.path, json.dumps(state).encode(), 0o600)

    def totals(self, place: int | None = None) -> dict[str, int]:
        """Over one place or all."""
        out: dict[str, int] = {}
        for counts in (c for name, c in self.counts.items() if place is None or name.startswith(f"{place}:")):
            for key, n in counts.items():
                out[key] = out.get(key, 0) + n
        return out


def _finish(
    found: Sequence[Place], pending: _Pending, residues: list[str], searched: dict[str, int], elsewhere: list[str]
) -> Receipt:
    salt = secrets.token_hex(16)
    content = {
        "format": 1,
        "what": "erasure of one wearer",
        "pseudonym_sha256": hashlib.sha256(f"{salt}:{pending.wearer}".encode()).hexdigest(),
        "salt": salt,
        "began": pending.began,
        "ended": _now(),
        "sites": [place.name for place in found],
        "counts": pending.totals(),
        "counts_of_each": [{"site": place.name} | pending.totals(i) for i, place in enumerate(found)],
        "bridges_not_given": elsewhere,
        "searched": searched,
        "complete": not residues,
        "still_found": len(residues),
    }
    folder = found[0].folder / RECEIPTS
    folder.mkdir(exist_ok=True)
    path = folder / f"erase-{content['ended'].replace(':', '').replace('-', '')}-{salt[:6]}.json"
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode(), 0o600)
    if not residues:
        pending.path.unlink()
    return Receipt(content | {"residues": residues}, path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
