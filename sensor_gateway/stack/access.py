"""Mosquitto's password file and access list for a site: who may log in, and which topics each may write and read."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from processing.dictionary import KINDS
from sensor_gateway.wire import topics

ROUNDS: Final = 1000
"""Of PBKDF2. The passwords are random and long, so more rounds would only slow the broker down at every log-in."""
BRIDGE: Final = "bridge"
THERAPIST: Final = "therapist"


def password_line(user: str, password: str) -> str:
    """A line of the password file, as Mosquitto 2 writes it (``$7$``: PBKDF2 with SHA-512)."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS, 64)
    return f"{user}:$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def access_list(site: str, gateways: Mapping[str, Sequence[str]]) -> str:
    """The access list: ``gateways`` are their names, which are their users, with the wearers of each."""
    lines = [
        "# Made by `tiltline init-stack`. %u is the name a client logged in with, which is its site.gateway.",
        "# Every gateway: its own status and receipts, and what is said to it.",
        f"pattern write {topics.status('+', '%u')}",
        f"pattern write {topics.receipt('+', '%u')}",
        f"pattern read {topics.durable('+', '%u')}",
        f"pattern read {topics.command('+', '%u')}",
    ]
    for gateway, wearers in gateways.items():
        lines += ["", "# A gateway writes the records of its own wearers, under its own name, and reads nobody's."]
        lines += [f"user {gateway}"]
        lines += [f"topic write {topics.record(site, gateway, wearer, kind)}" for wearer in wearers for kind in KINDS]
    lines += [
        "",
        "# The bridge reads all records and states, and writes only the acknowledgements.",
        f"user {BRIDGE}",
        f"topic read {topics.ROOT}/{site}/+/+/+",
        f"topic read {topics.status(site, '+')}",
        f"topic write {topics.durable(site, '+')}",
        "",
        "# A therapist commands and hears the receipts; the gateway checks the signature besides.",
        f"user {THERAPIST}",
        f"topic write {topics.command(site, '+')}",
        f"topic read {topics.receipt(site, '+')}",
        "",
    ]
    return "\n".join(lines)
