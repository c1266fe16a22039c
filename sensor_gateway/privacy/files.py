"""A wearer taken out of files: NDJSON copies, alignment notes, derivations, and the exports known to the registry.

Every file is written anew beside itself and put in its own place in one step, so a crash leaves the old or the new one. Lines and
rows of others keep their bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sensor_gateway.alignments.correct import DERIVED
from sensor_gateway.alignments.notes import ERASED, FORMAT
from sensor_gateway.alignments.notes import FILE as NOTES_FILE
from sensor_gateway.bids.layout import label
from sensor_gateway.export import registry
from sensor_gateway.export.csv_parquet import open_table
from sensor_gateway.export.manifest import MANIFEST
from sensor_gateway.export.partitioned import BY_DAY
from sensor_gateway.privacy.consent import CONSENT_FILE
from sensor_gateway.privacy.sqlite_files import erase_store, mentions
from sensor_gateway.recording.files import sha256_of

BIDS: Final = "dataset_description.json"
DICTIONARY: Final = ("dictionary.json", "dictionary.md")
NAMES_FILE: Final = "names.json"


def write_whole(path: Path, data: bytes, mode: int | None = None) -> None:
    """Put ``data`` in the file's place in one step, durably; the old file's permissions stay unless ``mode`` is given."""
    keep = mode if mode is not None else (path.stat().st_mode & 0o777 if path.exists() else 0o600)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            new.write(data)
            new.flush()
            os.fsync(new.fileno())
            Path(new.name).chmod(keep)
            Path(new.name).replace(path)
        except BaseException:
            Path(new.name).unlink(missing_ok=True)
            raise


def filter_lines(path: Path, keep: Callable[[bytes], bytes | None]) -> int:
    """Write the file again with what ``keep`` gives for each line (None: leave it out); how many lines changed."""
    if not path.is_file():
        return 0
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [keep(line) for line in lines]
    changed = sum(new != old for new, old in zip(kept, lines, strict=True))
    if changed:
        write_whole(path, b"".join(line for line in kept if line is not None))
    return changed


def prune(value: Any, wearer: str) -> Any:
    """Plain JSON without what is the wearer's: list items and keys that name her, objects whose ``wearer`` she is."""
    if isinstance(value, dict):
        word = mentions(wearer)
        return {k: prune(v, wearer) for k, v in value.items() if not word.search(k.encode()) and not _hers(v, wearer)}
    if isinstance(value, list):
        return [prune(v, wearer) for v in value if not _hers(v, wearer)]
    return value


def _hers(value: Any, wearer: str) -> bool:
    return value == wearer or (isinstance(value, dict) and value.get("wearer") == wearer)


def erase_notes(folder: Path, wearer: str) -> int:
    """Offsets and corrections of a therapist; each keeps its line as an empty one, so that the others keep their versions."""

    def keep(line: bytes) -> bytes:
        row = json.loads(line) if line.endswith(b"\n") else {}
        if row.get("wearer") != wearer:
            return line
        gone = {"v": FORMAT, "kind": ERASED, "version": row["version"]}
        return json.dumps(gone, separators=(",", ":")).encode() + b"\n"

    return filter_lines(folder / NOTES_FILE, keep)


def erase_records(folder: Path, wearer: str) -> int:
    """Lines of the file sink's NDJSON copies."""
    word = mentions(wearer)

    def keep(line: bytes) -> bytes | None:
        if not word.search(line):
            return line
        try:
            return None if json.loads(line).get("wearer") == wearer else line
        except ValueError:
            return None  # a torn line that names her

    return sum(filter_lines(path, keep) for path in sorted(folder.glob("records-*.ndjson")))


def erase_derivations(folder: Path, wearer: str) -> int:
    """Stores derived again with a correction, and the notes beside them; records taken out."""
    gone = 0
    for path in sorted((folder / DERIVED).rglob("*.db")):
        gone += sum(erase_store(path, wearer).values())
    for path in sorted((folder / DERIVED).rglob("*.json")):
        prune_json(path, wearer)
    return gone


def prune_json(path: Path, wearer: str) -> None:
    """The wearer out of a JSON file; one that does not name her is not touched."""
    text = path.read_bytes()
    if mentions(wearer).search(text):
        pruned = json.dumps(prune(json.loads(text), wearer), indent=2, ensure_ascii=False) + "\n"
        write_whole(path, pruned.encode())


def erase_exports(folder: Path, wearer: str) -> dict[str, int]:
    """Exports of the registry: those of this wearer alone are deleted, those of several written again without her.

    A shared one that gives its wearers other labels cannot be told apart: it stays in the registry, where the search finds it.
    """
    done = {"exports_deleted": 0, "exports_rewritten": 0, "export_rows": 0, "exports_not_found": 0}
    known = registry.known(folder)
    owners: dict[str, set[str]] = {}
    for export in known:
        owners.setdefault(export.path, set()).update(export.wearers)
    unclear = set()
    for name, wearers in owners.items():
        path = Path(name)
        if wearer not in wearers:
            continue
        if not path.exists():
            done["exports_not_found"] += 1
        elif path.is_file() and wearers == {wearer}:
            path.unlink()
            done["exports_deleted"] += 1
        elif (path / BIDS).is_file() and (path / f"sub-{label(wearer)}").is_dir():
            _erase_bids(path, wearer)
            done["exports_rewritten"] += 1
        elif (path / MANIFEST).is_file() and (gone := _erase_days(path, wearer)) is not None:
            done["export_rows"] += gone
            done["exports_rewritten"] += 1
        elif (path / MANIFEST).is_file() and wearers == {wearer}:
            done["export_rows"] += _delete_export(path)
            done["exports_deleted"] += 1
        elif (path / MANIFEST).is_file() and mentions(wearer).search((path / MANIFEST).read_bytes()):
            done["export_rows"] += _rewrite_export(path, wearer)
            done["exports_rewritten"] += 1
        elif path.is_file() or (path / BIDS).is_file() or (path / MANIFEST).is_file():
            unclear.add(name)

    def keep(line: bytes) -> bytes | None:
        row = json.loads(line)
        others = [w for w in row["wearers"] if w != wearer]
        if len(others) == len(row["wearers"]) or row["path"] in unclear:
            return line
        # The path stays only where others' data stay: it may tell whose they were.
        return json.dumps(row | {"wearers": others}).encode() + b"\n" if others else None

    filter_lines(folder / registry.FILE, keep)
    return done


def _delete_export(folder: Path) -> int:
    outputs: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["outputs"]
    names = [name for name in outputs if Path(name).name == name]  # a manifest names files of its own folder only
    for name in (*names, *DICTIONARY, MANIFEST):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
    return sum(outputs[name]["rows"] or 0 for name in names)


def _erase_days(folder: Path, wearer: str) -> int | None:
    """The wearer's folders of an export by day; the rows that went. None: it is none, or hides who is who."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    hers = [path for path in sorted(folder.glob(f"*/wearer={wearer}")) if path.is_dir()]
    if manifest["kind"] != BY_DAY or not hers:
        return None
    outputs: dict[str, Any] = manifest["outputs"]
    names = [name for name in outputs if f"/wearer={wearer}/" in name]
    gone = sum(outputs.pop(name)["rows"] or 0 for name in names)
    for path in hers:
        shutil.rmtree(path)
    write_whole(folder / MANIFEST, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
    return gone


def _rewrite_export(folder: Path, wearer: str) -> int:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    outputs: dict[str, Any] = manifest["outputs"]
    gone = 0
    for name, facts in outputs.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            continue
        if path.suffix == ".csv":
            gone += filter_lines(path, lambda line: None if _owner_of_row(line) == wearer else line)
        elif path.suffix == ".parquet":
            gone += _filter_parquet(path, wearer)
        facts |= {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        if facts["rows"] is not None:
            facts["rows"] = _rows(path)
    pruned = json.dumps(prune(manifest, wearer), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / MANIFEST, pruned.encode())
    return gone


def _erase_bids(folder: Path, wearer: str) -> None:
    """The wearer's folder of a Motion-BIDS data set and her line among the participants."""
    subject = f"sub-{label(wearer)}"
    if (folder / subject).is_dir():
        shutil.rmtree(folder / subject)
    row = subject.encode() + b"\t"
    for path in sorted(folder.glob("*.tsv")):
        filter_lines(path, lambda line: None if line.startswith(row) else line)


def _owner_of_row(line: bytes) -> str:
    return line.split(b",", 1)[0].strip(b'"').decode(errors="replace")  # the first column is the wearer


def _rows(path: Path) -> int:
    if path.suffix == ".parquet":
        return int(pq.ParquetFile(path).metadata.num_rows)
    with path.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


def _filter_parquet(path: Path, wearer: str) -> int:
    source = pq.ParquetFile(path)
    new = path.with_name(f".{path.name}.partial")
    writer = open_table(new, source.schema_arrow, "parquet")
    for batch in _tables(source):
        writer.write(batch.filter(pc.not_equal(batch["wearer"], wearer)))
    writer.close()
    gone = int(source.metadata.num_rows) - writer.rows
    source.close()
    if gone:
        new.replace(path)
    else:
        new.unlink()
    return gone


def _tables(source: Any) -> Iterator[Any]:
    for i in range(source.num_row_groups):
        yield pa.table(source.read_row_group(i))


def erase_person(folder: Path, wearer: str) -> dict[str, int]:
    """The wearer's name and consent; the receipt is what remains of both."""

    def keep(line: bytes) -> bytes | None:
        return None if json.loads(line).get("wearer") == wearer else line

    done = {"consent_entries": filter_lines(folder / CONSENT_FILE, keep), "names": 0}
    path = folder / NAMES_FILE
    if path.is_file():
        names = json.loads(path.read_text(encoding="utf-8"))
        if names.pop(wearer, None) is not None:
            write_whole(path, (json.dumps(names, indent=2, ensure_ascii=False) + "\n").encode(), 0o600)
            done["names"] = 1
    return done
