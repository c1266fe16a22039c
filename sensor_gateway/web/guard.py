"""The outer shell of the page: which requests come in at all, and which headers go out.

The page has no accounts; it is protected by staying on the machine (loopback by default) and by refusing everything a
foreign web page in the same browser could send: other host names (DNS rebinding), other origins, big bodies.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 4096
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware; raises nothing, answers refused requests itself with one sentence as JSON."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        name = socket.gethostname().lower()
        self._names = {"localhost", host.lower(), name, f"{name}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # A report brings its own, narrower policy.
                for key, value in HEADERS.items():
                    headers.setdefault(key, value)
                # Shell files may be kept but must be asked about; measurements are never kept by anybody.
                headers.setdefault("cache-control", "no-store" if scope["path"].startswith("/api/") else "no-cache")
            await send(message)

        status, reason = self._refusal(scope["method"], Headers(scope=scope))
        if reason:
            await JSONResponse({"error": reason}, status)(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str]:
        host = headers.get("host", "")
        if not self._known(host):
            return 421, f"This page is not served under the name {host[:80]!r}; open it by its address or as localhost."
        if method in ("GET", "HEAD"):
            return 0, ""
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "This request comes from another web page and was not carried out."
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return 403, "This request comes from another web page and was not carried out."
        # A form of another page can send text or form data without asking; JSON it cannot.
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            return 415, "Send JSON with the header 'Content-Type: application/json'."
        length = headers.get("content-length", "")
        if not length.isdigit():
            return 411, "Say the length of the body with the header 'Content-Length'."
        if int(length) > MAX_BODY_BYTES:
            return 413, f"The body is too large; at most {MAX_BODY_BYTES} bytes are taken."
        return 0, ""

    def _known(self, host: str) -> bool:
        """An address cannot be rebound to another machine by a foreign name server; of names only our own count."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
