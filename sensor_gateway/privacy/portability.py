"""Everything held on one wearer in one ZIP: tables with their dictionary, events as JSON, the raw journal, consent, notes.

Plain formats that open without Tiltline. The raw payloads are as the sensor sent them (hexadecimal, with their times and the
driver that reads them); entries of others who wore the same sensor are not among them.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sensor_gateway.alignments.notes import offsets_of, plain, read_notes
from sensor_gateway.export import registry
from sensor_gateway.export.export import export_store
from sensor_gateway.export.selection import KIND_OF_TABLE, Selection
from sensor_gateway.privacy.consent import entries
from sensor_gateway.privacy.sqlite_files import periods, sensors_of
from sensor_gateway.replay.rederive import SpoolReader
from sensor_gateway.sinks.makers import DERIVED
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.journal import CONTROL, JournalReader
from sensor_gateway.status.status import SPOOL_FILE, STORE_FILE
from sensor_gateway.whole_files import sha256_of

_README: Final = """\
Everything this gateway holds on {wearer}
=====================================
Made {made}. {wearer} is a pseudonym; the list that says whose it is stays with your therapist.

metrics.csv   tilt of the pelvis, posture and quality, second by second
epochs.csv    the same, minute by minute
events.csv    and events.json: prompts, your answers, diary entries, alignments, each with what led to it
devices.csv   how the sensor was doing
dictionary.md what every column means, with its unit; an empty cell is a missing value, never zero
derived/      the same tables computed again otherwise, each with a manifest.json that says how
raw/          one line for each message of the sensor as it came: t_utc_ns (when it was received, nanoseconds since
              1970, UTC), driver (which format, see the open source of Tiltline), payload (hexadecimal). Lines with
              "control" are commands: a neutral pose taken, an answer given
consent.json  what was agreed to and when
notes.json    what a therapist measured or corrected
contents.json size and SHA-256 of every file

Times are UTC. These are measurements, not a diagnosis; if a number worries you, ask your therapist.
"""


class PortabilityError(Exception):
    """Nothing can be handed over; the text says why."""


def hand_over(folder: Path, wearer: str, out: Path) -> dict[str, Any]:
    """Write the ZIP at ``out`` (whole or not at all) and give its contents by name; raises `PortabilityError`."""
    has_store = (folder / STORE_FILE).is_file()
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=".portability-") as name:
        work = Path(name)
        made = work / "content"
        made.mkdir()
        rows: dict[str, int] = {}
        if has_store:
            rows |= _tables(folder / STORE_FILE, wearer, made, folder)
        for path in sorted((folder / DERIVED).glob("*.db")):
            found = _tables(path, wearer, made / DERIVED / path.stem, folder)
            rows |= {f"{DERIVED}/{path.stem}/{name}": n for name, n in found.items()}
        if (folder / SPOOL_FILE).is_file():
            rows |= _raw(folder / SPOOL_FILE, wearer, made / "raw")
        consent = entries(folder, wearer)
        notes = [plain(n) for n in read_notes(folder) if n.wearer == wearer]
        if not any(rows.values()) and not consent and not notes:
            raise PortabilityError(
                f"{folder}: holds nothing on {wearer}; `tiltline export` names the wearers there are"
            )
        _json(made / "consent.json", [{k: getattr(c, k) for k in c.__slots__} for c in consent])
        _json(made / "notes.json", notes)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        (made / "README.txt").write_text(_README.format(wearer=wearer, made=now), encoding="utf-8")
        files = {
            path.relative_to(made).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in sorted(p for p in made.rglob("*") if p.is_file())
        }
        content = {"wearer": wearer, "made": now, "rows": rows, "files": files}
        _json(made / "contents.json", content)
        registry.register(folder, out, [wearer])
        packed = work / "out.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in (*files, "contents.json"):
                archive.write(made / file, file)
        packed.chmod(0o600)
        packed.replace(out)
    return content


def _tables(path: Path, wearer: str, out: Path, folder: Path) -> dict[str, int]:
    """The wearer's tables of a store of the data ``folder``; none where she has no record in it."""
    store = Store.open(path, readonly=True)
    try:
        if wearer not in store.wearers():
            return {}
        selection = Selection((wearer,), tables=tuple(KIND_OF_TABLE), form="csv")
        notes = read_notes(folder)
        manifest = export_store(store, selection, out, notes=notes if offsets_of(notes, wearer) else ())
        events = (
            {"t_utc_ns": e.t_utc_ns, "event_id": e.event_id, "type": e.type, "rule": e.rule, "data": dict(e.data)}
            for e in store.events(wearer)
        )
        _list(out / "events.json", events)
    finally:
        store.close()
    return {name: facts["rows"] for name, facts in manifest["outputs"].items() if facts["rows"] is not None}


def _raw(path: Path, wearer: str, out: Path) -> dict[str, int]:
    reader = SpoolReader(path)
    rows: dict[str, int] = {}
    try:
        for sensor in sensors_of(reader, wearer):
            out.mkdir(exist_ok=True)
            name = f"{sensor}.ndjson"
            with (out / name).open("w", encoding="utf-8", newline="\n") as file:
                rows[f"raw/{name}"] = sum(bool(file.write(line)) for line in _entries(reader, sensor, wearer))
    finally:
        reader.close()
    return rows


def _entries(reader: SpoolReader, sensor: str, wearer: str) -> Iterator[str]:
    hers = [p for p in periods(reader, sensor) if p.wearer == wearer]
    for part in JournalReader(reader).read(sensor):
        for entry in part:
            if any(p.first <= entry.seq <= p.last for p in hers):
                r = entry.received
                row: dict[str, Any] = {"seq": entry.seq, "t_utc_ns": r.rx_utc_ns}
                if entry.source == CONTROL:
                    row["control"] = json.loads(r.payload)
                else:
                    row |= {"driver": entry.source.driver, "uuid": r.uuid, "payload": r.payload.hex()}
                yield json.dumps(row) + "\n"


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _list(path: Path, items: Iterator[dict[str, Any]]) -> None:
    """A JSON array, an item a line: memory stays bounded."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for i, item in enumerate(items):
            file.write((",\n" if i else "\n") + json.dumps(item, ensure_ascii=False))
        file.write("\n]\n")
