"""Mosquitto's password file and access list for a site: who may log in, and which topics each may write and read."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from processing.dictionary import KINDS
from sensor_gateway.wire import topics

ROUNDS: Final = 1000
"""Of PBKDF2. The passwords are random and long, so more rounds would only slow the broker down at every log-in."""


@dataclass(frozen=True, slots=True)
class SiteUsers:
    """A site's own users at the broker: its bridge and its therapist."""

    bridge: str = "bridge"
    therapist: str = "therapist"


def password_line(user: str, password: str) -> str:
    """A line of the password file, as Mosquitto 2 writes it (``$7$``: PBKDF2 with SHA-512)."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS, 64)
    return f"{user}:$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def site_access(site: str, users: SiteUsers) -> str:
    """The part of the access list that is the site's: its bridge and its therapist."""
    return _text(
        f"# Site {site}: its bridge reads its records and states, and writes only the acknowledgements.",
        f"user {users.bridge}",
        f"topic read {topics.ROOT}/{site}/+/+/+",
        f"topic read {topics.status(site, '+')}",
        f"topic write {topics.durable(site, '+')}",
        "",
        "# Its therapist commands and hears the receipts; the gateway checks the signature besides.",
        f"user {users.therapist}",
        f"topic write {topics.command(site, '+')}",
        f"topic read {topics.receipt(site, '+')}",
    )


def gateway_access(site: str, gateway: str, wearers: Sequence[str]) -> str:
    """A gateway's part; its name is its user, so nobody speaks for it."""
    return _text(
        "# A gateway: records of its own wearers, its own status and receipts, and what is said to it.",
        f"user {gateway}",
        *(f"topic write {topics.record(site, gateway, wearer, kind)}" for wearer in wearers for kind in KINDS),
        f"topic write {topics.status(site, gateway)}",
        f"topic write {topics.receipt(site, gateway)}",
        f"topic read {topics.durable(site, gateway)}",
        f"topic read {topics.command(site, gateway)}",
    )


def _text(*lines: str) -> str:
    return "\n".join(("", *lines, ""))
