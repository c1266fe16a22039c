"""What a person does when SQLite refuses: the remedy that ends the sentences of spool, store, bridge's queue, books and backup.

A full disk, a folder that cannot be written and a damaged file look alike at three in the morning, and what mends one of them
loses data with the next.
"""

from __future__ import annotations

import sqlite3
from typing import Final

DAMAGED: Final = "it is damaged: keep it, and see 'A damaged file' in docs/operations.md"
_REMEDIES: Final = {
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_FULL: "free space on this disk",
    sqlite3.SQLITE_IOERR: "free space on this disk, and see whether it fails ('dmesg')",
    sqlite3.SQLITE_READONLY: "let this user write it and its folder",
    sqlite3.SQLITE_PERM: "let this user write it and its folder",
    sqlite3.SQLITE_CANTOPEN: "let this user write its folder, which SQLite needs for reading as well",
    sqlite3.SQLITE_BUSY: "another process holds it; end that one",
    sqlite3.SQLITE_LOCKED: "another process holds it; end that one",
}
_PRIMARY: Final = 0xFF  # the rest of a code says more of the same


def remedy(error: BaseException, otherwise: str = "is it a file of this release?") -> str:
    """What to do about ``error``; ``otherwise`` where it is none of disk, folder or damage."""
    return _REMEDIES.get(getattr(error, "sqlite_errorcode", -1) & _PRIMARY, otherwise)


def is_of_the_file(error: BaseException) -> bool:
    """Whether the file or its disk is at fault, and not what was asked of it."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
