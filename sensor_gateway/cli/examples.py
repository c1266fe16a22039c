"""How commands without a longer text of their own are used: lines to paste, shown at the end of their help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "demo": (
        "tiltline demo",
        "tiltline demo --hours 2 --seconds 30",
        "tiltline demo --cohort 12 --days 30",
    ),
    "run": ("tiltline run --config gateway.toml",),
    "bridge": ("tiltline bridge --config bridge.toml",),
    "status": ("tiltline status --config gateway.toml",),
    "deadletter": (
        "tiltline deadletter list --config bridge.toml",
        "tiltline deadletter requeue --config bridge.toml --all",
    ),
    "command": (
        "tiltline command snooze --minutes 60 --wearer w-001 --gateway gw-1 --config site.toml --issuer pt-1 --key-file pt-1.key",
    ),
    "init-stack": ("tiltline init-stack ./stack --wearer w-001 --wearer w-002", "tiltline init-stack ./stack --rotate"),
    "web": ("tiltline web --config gateway.toml", "tiltline web --store demo-data/store.db --port 8090"),
    "retain": ("tiltline retain --config gateway.toml --dry-run",),
    "consent": ("tiltline consent w-001 grant --text 2026-03 --config gateway.toml",),
    "names": ("tiltline names w-001 'Her name' --config gateway.toml",),
    "portability": ("tiltline portability w-001 --out w-001.zip --config gateway.toml",),
    "doctor": ("tiltline doctor --config gateway.toml",),
}


def epilog(command: str) -> str | None:
    """The examples of a command as the end of its help; None where its own text has them."""
    lines = EXAMPLES.get(command)
    return None if lines is None else "\n".join(["examples:", *(f"  {line}" for line in lines)])
