"""A small client of the gateway's own page, for commands that change what a running gateway journals."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

TIMEOUT_S: Final = 20


class PageError(Exception):
    """The page did not do it; the text is its own sentence, or how to reach it."""


class PageClient:
    """One wearer at one page. The token, where the page asks for one, comes from a file."""

    def __init__(self, url: str, wearer: str, token_file: Path | None = None) -> None:
        """Raises `PageError` where the address or the token's file cannot be used."""
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise PageError(f"--page is {url!r}; use an address such as http://127.0.0.1:8080")
        self._url, self._query = url.rstrip("/"), urllib.parse.urlencode({"wearer": wearer})
        self._headers = {"content-type": "application/json"}
        if token_file is not None:
            try:
                token = token_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as e:
                raise PageError(f"{token_file}: cannot be read ({e}); check --token-file") from None
            self._headers["authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        """The page's JSON."""
        return self._ask("GET", path, None)

    def send(self, method: str, path: str, body: object) -> Any:
        """Send JSON and take JSON."""
        return self._ask(method, path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            f"{self._url}{path}?{self._query}", body, self._headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
                return json.load(answer)
        except urllib.error.HTTPError as e:
            raise PageError(_said(e)) from None
        except (OSError, ValueError) as e:
            raise PageError(f"{self._url} does not answer ({e}); start 'tiltline run' or correct --page") from None


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the page answered {error.code} {error.reason}; is --page a Tiltline gateway?"
