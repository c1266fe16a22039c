"""What lies in a folder of results and where it came from: versions, hashes, counts. No clock, so the same input gives
the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sensor_gateway.sinks.makers import COMPUTING, installed
from sensor_gateway.whole_files import FileSet, sha256_of

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
BY_DAY: Final = "export by day"
"""Kind of a folder that grows (`partitioned.py`)."""


def versions() -> dict[str, str]:
    """Versions of everything that decides a digit of the result or a byte of the file."""
    return installed(*COMPUTING, "pyarrow")


def output_of(path: Path, rows: int | None) -> dict[str, Any]:
    """What a manifest says of one file."""
    return {"rows": rows, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def write_manifest(
    files: FileSet, content: Mapping[str, Any], rows: Mapping[str, int], more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Add hashes and sizes of the files written so far to ``content``, write it as manifest.json, and return it.

    ``more``: files below the folder that were written before, by name, as `output_of` tells them.
    """
    outputs = {name: output_of(path, rows.get(name)) for name, path in files.written()} | dict(more or {})
    manifest = {"format": FORMAT, "versions": versions(), **content, "outputs": outputs}
    files.write_text(MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return manifest


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest that lies in a folder, empty where there is none; raises ``ValueError`` where it is not JSON."""
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return found


def check_manifest(folder: Path) -> list[str]:
    """Names of files that are missing or differ from what the folder's manifest says; empty where all is well."""
    outputs = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["outputs"]
    return [
        name
        for name, facts in outputs.items()
        if not (folder / name).is_file() or sha256_of(folder / name) != facts["sha256"]
    ]
