"""Files that appear whole or not at all: written beside under a name of their own, put on the disk, and renamed at the end.

For every part of the gateway that writes files which people or other programs open. Those that only grow (journal, consent, notes) and
databases have their own ways.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self


def half_written(path: Path) -> Path:
    """Where a file is until it is whole; after a kill it is still there. One name for all attempts, so that none adds up."""
    return path.with_name(f".{path.name}.partial")


def write_whole(path: Path, data: bytes, mode: int | None = None, owner: int | None = None) -> None:
    """Put ``data`` in the file's place in one step, durably, and never readable by others on the way.

    The old file's permissions stay, those of a new one are 0600, unless ``mode`` is given. ``owner`` gets it as user and group;
    without one the old file's owner keeps it, or what root writes the gateway's own user could not read any more.
    """
    old = path.stat() if path.exists() else None
    keep = mode if mode is not None else (old.st_mode & 0o777 if old else 0o600)
    new = half_written(path)
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if owner is not None:
            os.chown(new, owner, owner)
        elif old and os.geteuid() == 0:
            os.chown(new, old.st_uid, old.st_gid)
        new.chmod(keep)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


class FileSet:
    """Files of one folder, and of folders below it, that become visible together, in the order they were opened, when the block
    ends well.

    On an error, or without `__exit__`, nothing that was there before is touched; what a killed process leaves are files
    named ``.NAME.partial``. The next run overwrites them, and removes those of other names where it is ``alone`` in the folder.
    """

    def __init__(self, folder: Path, alone: bool = False) -> None:
        self.folder, self._alone = folder, alone
        self._partial: dict[Path, Path] = {}
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for partial in self._partial.values():
                sync(partial)
            for final, partial in self._partial.items():
                partial.replace(final)
            for left in self.folder.glob(".*.partial") if self._alone else ():
                left.unlink()
            for folder in {self.folder, *self._made, *(final.parent for final in self._partial)}:
                sync(folder)
        else:
            for partial in self._partial.values():
                partial.unlink(missing_ok=True)
            for folder in reversed(self._made):
                with contextlib.suppress(OSError):  # somebody else has put something there
                    folder.rmdir()

    def path(self, name: str) -> Path:
        """Where to write the file that will be called ``name``; folders in the name are made."""
        final = self.folder / name
        partial = half_written(final)
        if not partial.parent.is_dir():
            missing = [folder for folder in (partial.parent, *partial.parent.parents) if not folder.is_dir()]
            self._made += reversed(missing)
            partial.parent.mkdir(parents=True)
        self._partial[final] = partial
        return partial

    def written(self) -> Iterator[tuple[str, Path]]:
        """Final names below the folder and where their bytes are now."""
        return ((final.relative_to(self.folder).as_posix(), partial) for final, partial in self._partial.items())

    def write_text(self, name: str, text: str) -> None:
        """A small text file."""
        self.path(name).write_text(text, encoding="utf-8", newline="\n")


def sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk when this returns."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes as hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
