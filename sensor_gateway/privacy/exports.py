"""Exports known to a data folder, as an erasure leaves them: hers alone are gone, shared ones are written again without her.

One is marked in the registry before it is touched, so that an erasure that was killed half-way knows which it had begun: those it
finishes, where a shared export under other labels, which looks alike, stays for a person to delete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from processing.dictionary import TABLES
from sensor_gateway.bids.layout import label
from sensor_gateway.bids.write import DESCRIPTION, TOP, drop_half_written
from sensor_gateway.export import registry
from sensor_gateway.export.csv_parquet import open_table
from sensor_gateway.export.manifest import BY_DAY, MANIFEST, manifest_of, output_of
from sensor_gateway.privacy.files import filter_lines, prune
from sensor_gateway.privacy.sqlite_files import mentions
from sensor_gateway.whole_files import half_written, sha256_of, write_whole

DICTIONARY: Final = ("dictionary.json", "dictionary.md")
_BEGUN: Final = "erasing"


def erase_exports(folder: Path, wearer: str) -> dict[str, int]:
    """Exports of the registry: those of this wearer alone are deleted, those of several written again without her.

    A shared one that gives its wearers other labels cannot be told apart, and a damaged one not be read: it stays in the registry,
    where the search finds it.
    """
    done = {"exports_deleted": 0, "exports_rewritten": 0, "export_rows": 0, "exports_not_found": 0}
    owners: dict[str, set[str]] = {}
    for export in registry.known(folder):
        owners.setdefault(export.path, set()).update(export.wearers)
    begun = _begun(folder, wearer)
    unclear = set()
    for name, wearers in owners.items():
        path, alone = Path(name), wearers == {wearer}
        if wearer not in wearers:
            continue
        if path.is_dir():
            _drop_half_written(path)
        if not (path.is_file() or (path / DESCRIPTION).is_file() or (path / MANIFEST).is_file()):
            done["exports_not_found"] += 1
        elif not alone and name not in begun and not _names_her(path, wearer):
            unclear.add(name)
        else:
            _begin(folder, wearer, name)
            try:
                done["export_rows"] += _delete(path) if alone else _take_out(path, wearer)
            except (ValueError, KeyError):
                unclear.add(name)
                continue
            done["exports_deleted" if alone else "exports_rewritten"] += 1

    def keep(line: bytes) -> bytes | None:
        row = json.loads(line)
        others = [w for w in row["wearers"] if w != wearer]
        if len(others) == len(row["wearers"]) or row["path"] in unclear:
            return line
        row.pop(_BEGUN, None)
        # The path stays only where others' data stay: it may tell whose they were.
        return json.dumps(row | {"wearers": others}).encode() + b"\n" if others else None

    filter_lines(folder / registry.FILE, keep)
    return done


def _drop_half_written(folder: Path) -> None:
    """What an export that was killed left, under the names that ours have: hers may be among it, and the next run begins anew."""
    for table in TABLES:
        for form in ("parquet", "csv"):
            half_written(folder / f"{table}.{form}").unlink(missing_ok=True)
        for half in folder.glob(f"{table}/wearer=*/day=*/.*.parquet.partial"):
            half.unlink()
    drop_half_written(folder)


def _begin(folder: Path, wearer: str, name: str) -> None:
    """Mark the export as begun, in the rows that name her."""

    def mark(line: bytes) -> bytes:
        row = json.loads(line)
        hers = row["path"] == name and wearer in row["wearers"]
        return json.dumps(row | {_BEGUN: True}).encode() + b"\n" if hers else line

    filter_lines(folder / registry.FILE, mark)


def _begun(folder: Path, wearer: str) -> set[str]:
    path = folder / registry.FILE
    lines = path.read_bytes().splitlines() if path.is_file() else ()
    rows = [json.loads(line) for line in lines]
    return {row["path"] for row in rows if wearer in row["wearers"] and row.get(_BEGUN)}


def _names_her(path: Path, wearer: str) -> bool:
    """Whether the export tells by her own pseudonym what is hers."""
    if (path / DESCRIPTION).is_file():
        return (path / f"sub-{label(wearer)}").is_dir()
    return not path.is_file() and bool(mentions(wearer).search((path / MANIFEST).read_bytes()))


def _delete(path: Path) -> int:
    """An export that holds nobody else; files that are not its own stay. Gives the rows that its manifest counted."""
    if path.is_file():
        path.unlink()
        return 0
    if (path / DESCRIPTION).is_file():
        for subject in path.glob("sub-*"):
            shutil.rmtree(subject)
        for top in TOP:
            (path / top).unlink(missing_ok=True)
    rows = 0
    if (path / MANIFEST).is_file():
        outputs: dict[str, Any] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["outputs"]
        # A manifest names files of its own folder only.
        names = [name for name in outputs if (path / name).resolve().is_relative_to(path.resolve())]
        for name in (*names, *DICTIONARY, MANIFEST):
            (path / name).unlink(missing_ok=True)
        rows = sum(outputs[name]["rows"] or 0 for name in names)
    _drop_empty(path)
    return rows


def _drop_empty(folder: Path) -> None:
    for below in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        if not any(below.iterdir()):
            below.rmdir()
    if not any(folder.iterdir()):
        folder.rmdir()


def _take_out(path: Path, wearer: str) -> int:
    """Her part of a shared export; the rows that went. Once more after a kill it does what is left."""
    if (path / DESCRIPTION).is_file():
        return _erase_bids(path, wearer)
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    return _erase_days(path, manifest, wearer) if manifest["kind"] == BY_DAY else _rewrite_export(path, wearer)


def _erase_days(folder: Path, manifest: dict[str, Any], wearer: str) -> int:
    """Her folders of an export by day."""
    for path in sorted(folder.glob(f"*/wearer={wearer}")):
        shutil.rmtree(path)
    outputs: dict[str, Any] = manifest["outputs"]
    names = [name for name in outputs if f"/wearer={wearer}/" in name]
    gone = sum(outputs.pop(name)["rows"] or 0 for name in names)
    _write_manifest(folder, prune(manifest, wearer))
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
    _write_manifest(folder, prune(manifest, wearer))
    return gone


def _erase_bids(folder: Path, wearer: str) -> int:
    """The wearer's folder of a Motion-BIDS data set, her line among the participants, and both in the manifest."""
    subject = f"sub-{label(wearer)}"
    if (folder / subject).is_dir():
        shutil.rmtree(folder / subject)
    row = subject.encode() + b"\t"
    participants = folder / "participants.tsv"
    filter_lines(participants, lambda line: None if line.startswith(row) else line)
    manifest = manifest_of(folder)
    outputs: dict[str, Any] = manifest.get("outputs", {})
    gone = sum(outputs.pop(name)["rows"] or 0 for name in list(outputs) if name.startswith(f"{subject}/"))
    if manifest:
        outputs[participants.name] = output_of(participants, None)
        _write_manifest(folder, prune(manifest, wearer))
    return gone


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / MANIFEST, text.encode())


def _owner_of_row(line: bytes) -> str:
    return line.split(b",", 1)[0].strip(b'"').decode(errors="replace")  # the first column is the wearer


def _rows(path: Path) -> int:
    if path.suffix == ".parquet":
        return int(pq.ParquetFile(path).metadata.num_rows)
    with path.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


def _filter_parquet(path: Path, wearer: str) -> int:
    source = pq.ParquetFile(path)
    new = half_written(path)
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
