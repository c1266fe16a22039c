"""Who may open the page: tokens from files, each a wearer's (bound to her id) or a therapist's, and the cookie they buy.

A token goes over the wire once, at the sign-in; the browser then holds a cookie that names the token and its own end, under
a MAC with the token as its key. So nothing is kept here, a restart signs nobody out, and a token that is replaced in its
file ends every cookie that it made.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sensor_gateway.config import ConfigError, Web
from sensor_gateway.secrets import read_secret

COOKIE: Final = "tiltline"
LEAST_CHARS: Final = 32
LASTS_S: Final = {"wearer": 30 * 86_400, "therapist": 12 * 3600}
"""A wearer's phone stays signed in for a month; a therapist's browser for a working day."""

Role = Literal["wearer", "therapist"]


@dataclass(frozen=True, slots=True)
class Pass:
    """Somebody who is signed in. ``wearer`` is None for a therapist, who may see all of this gateway."""

    name: str
    role: Role
    wearer: str | None


class Tokens:
    """The tokens of one page; comparing takes the same time whatever is asked."""

    def __init__(self, tokens: Sequence[tuple[Role, str | None, str]]) -> None:
        """``tokens`` are role, wearer (None for a therapist) and secret."""
        self._held = [
            (Pass(hashlib.sha256(f"name {secret}".encode()).hexdigest()[:12], role, wearer), secret.encode())
            for role, wearer, secret in tokens
        ]

    def by_secret(self, secret: str) -> Pass | None:
        """Whose token this is."""
        found = None
        for known, own in self._held:
            if hmac.compare_digest(own, secret.encode("utf-8", "replace")):
                found = known
        return found

    def cookie(self, who: Pass, now_s: int) -> tuple[str, int]:
        """The cookie's value and how many seconds it lasts."""
        own = next(secret for known, secret in self._held if known == who)
        lasts_s = LASTS_S[who.role]
        return f"{who.name}.{now_s + lasts_s}.{_mac(own, who.name, now_s + lasts_s)}", lasts_s

    def by_cookie(self, value: str, now_s: int) -> Pass | None:
        """Whose cookie this is, if it is ours and has not ended."""
        name, _, rest = value.partition(".")
        end, _, mac = rest.partition(".")
        if not (end.isascii() and end.isdigit() and len(end) <= 12):
            return None
        found = None
        for known, own in self._held:
            ours = hmac.compare_digest(_mac(own, known.name, int(end)).encode(), mac.encode("utf-8", "replace"))
            if ours and known.name == name and now_s < int(end):
                found = known
        return found


def _mac(secret: bytes, name: str, end_s: int) -> str:
    return hmac.new(secret, f"tiltline page {name} {end_s}".encode(), hashlib.sha256).hexdigest()


def load_tokens(web: Web, base: Path) -> Tokens | None:
    """The tokens of the settings, None where none are needed; raises `ConfigError` with the remedy where they are.

    ``base`` is the folder of the configuration file.
    """
    if not web.enabled:
        return None
    if not web.tokens:
        if not web.on_loopback:
            raise ConfigError(
                f"key 'web.host' is {web.host!r}, which others can reach, and the page has no tokens; add "
                '[[web.tokens]] blocks (role = "wearer", wearer = "...", file = "..."; or role = "therapist", '
                "file = ...), or use 127.0.0.1"
            )
        return None
    held: list[tuple[Role, str | None, str]] = []
    for i, token in enumerate(web.tokens):
        key = f"web.tokens[{i}]"
        secret = read_secret(token.file, "", base, f"{key}.file") if token.file else ""
        if len(secret) < LEAST_CHARS:
            raise ConfigError(
                f"key '{key}.file': the token in {token.file!r} has {len(secret)} characters; make one of "
                f"{LEAST_CHARS} or more, e.g. with 'openssl rand -hex 32'"
            )
        if any(secret == other for _, _, other in held):
            raise ConfigError(f"key '{key}.file': {token.file!r} holds the token of another block; give each its own")
        held.append((token.role, token.wearer or None, secret))
    return Tokens(held)
