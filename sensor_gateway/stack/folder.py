"""The private folder in which a stack's files are made: nothing that exists is overwritten unless the caller says so.

The folder is closed to everybody but its owner; within it, files that containers read as users of their own belong to those
users where we may give them away (root), and are readable within the closed folder where we may not.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sensor_gateway.whole_files import write_whole

MOSQUITTO, INFLUX, GRAFANA, TILTLINE = 1883, 1000, 472, 10001
"""The containers' users in docker-compose.yml and Dockerfile."""
PUBLIC: Final = 0o444
"""Settings and certificates: read by containers, changed by nobody by accident."""


@dataclass(slots=True)
class Made:
    """File names, relative to the folder."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


class Folder:
    """``root`` is made and closed. Nothing secret is returned: ``out`` has names of files only."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)
        self.root, self.out = root, Made()

    def put(self, name: str, content: str | bytes, mode: int, owner: int | None = None, *, again: bool = False) -> None:
        """Write what is missing; ``again`` also what is there."""
        path = self.root / name
        if path.exists() and not again:
            self.out.kept.append(name)
            return
        given = owner is not None and os.geteuid() == 0
        if owner is not None and not given:
            mode |= 0o044  # read by another user inside a folder that is closed to all but its owner
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(path, content.encode() if isinstance(content, str) else content, mode, owner if given else None)
        self.out.made.append(name)

    def put_secrets(self, owners: Mapping[str, int | None], renewed: frozenset[str] = frozenset()) -> None:
        """Random secrets of 256 bits, each for the user that reads it; ``renewed`` also where they exist."""
        for name, owner in owners.items():
            self.put(name, secrets.token_hex(32), 0o400, owner, again=name in renewed)

    def text(self, name: str) -> str:
        """What stands in a file, empty where there is none."""
        path = self.root / name
        return path.read_text() if path.exists() else ""
