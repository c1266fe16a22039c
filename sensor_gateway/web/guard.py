"""The outer shell of the page: which requests come in at all, who is asking, and which headers go out.

It refuses what a foreign web page in the same browser could send (other host names, other origins, forms, big bodies), asks
for a sign-in where the page has tokens (`tokens.py`), holds a wearer's sign-in to that wearer, and bounds how much one
client may ask. Whatever is refused is counted and said in the log. Handlers find ``request.state.role`` and ``.wearer``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sensor_gateway.config import Web
from sensor_gateway.rates import Buckets, Rate
from sensor_gateway.status.refusals import Refusals, shown
from sensor_gateway.web.tokens import COOKIE, Pass, Tokens

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
OPEN: Final = frozenset(
    {
        *("/sign-in", "/sign-in.js", "/api/sign-in", "/style.css", "/manifest.webmanifest"),
        *("/icon.svg", "/icon-180.png", "/icon-192.png"),
    }
)
"""What is served without a sign-in: nothing of a wearer's."""
FOREIGN: Final = "This request comes from another web page and was not carried out."


@dataclass(frozen=True, slots=True)
class PageLimits:
    """What one client (an address, or a /64 network) may ask; a page open on a phone asks about once a second."""

    reads: Rate = field(default_factory=lambda: Rate(600, 40.0))
    writes: Rate = field(default_factory=lambda: Rate(60, 1.0))
    sign_ins: Rate = field(default_factory=lambda: Rate(10, 0.1))
    streams: int = 8


@dataclass(frozen=True, slots=True)
class No:
    """A refusal: status, what kind it counts as, and the sentence in the answer."""

    status: int
    kind: str
    sentence: str
    wait_s: float = 0.0


class Guard:
    """ASGI middleware; raises nothing, answers refused requests itself with one sentence as JSON."""

    def __init__(
        self, app: ASGIApp, web: Web, tokens: Tokens | None, refusals: Refusals, limits: PageLimits | None = None
    ) -> None:
        """``tokens`` None: whoever reaches the page is wearer and therapist in one, so it should stay on this machine."""
        self.app, self._tokens, self._refusals = app, tokens, refusals
        name = socket.gethostname().lower()
        self._names = {"localhost", web.host.lower(), name, f"{name}.local", *(n.lower() for n in web.names)}
        self._limits = limits or PageLimits()
        self._reads, self._writes = Buckets(self._limits.reads), Buckets(self._limits.writes)
        self._sign_ins = Buckets(self._limits.sign_ins)
        self._streams: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            self._refusals.note("websocket", _client(scope), "the page has no web sockets")
            await send({"type": "websocket.close", "code": 1008})
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

        client, headers = _client(scope), Headers(scope=scope)
        refusal = self._shape(scope, headers) or self._pace(scope, client)
        who = None
        if refusal is None and self._tokens is not None:
            who = self._who(headers, self._tokens)
            refusal = self._entry(scope, headers, client, who)
        if refusal is not None:
            self._refusals.note(refusal.kind, client, f"{shown(scope['method'])} {shown(scope['path'])}")
            await self._answer(refusal, headers, scope)(scope, receive, send_with_headers)
            return
        state = {**scope.get("state", {}), "refusals": self._refusals, "client": client}
        if who is not None:
            state |= {"role": who.role, "wearer": who.wearer}
        inner = {**scope, "state": state, "query_string": _bound_query(scope["query_string"], who)}
        if scope["path"] == "/api/live":
            await self._stream(inner, receive, send_with_headers, client)
        else:
            await self.app(inner, receive, send_with_headers)

    async def _stream(self, scope: Scope, receive: Receive, send: Send, client: str) -> None:
        if self._streams[client] >= self._limits.streams:
            no = No(429, "streams", "Too many of these pages are open here; close one of them.", 5)
            self._refusals.note(no.kind, client, "live streams")
            await self._answer(no, Headers(scope=scope), scope)(scope, receive, send)
            return
        self._streams[client] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._streams[client] -= 1
            if not self._streams[client]:
                del self._streams[client]

    def _shape(self, scope: Scope, headers: Headers) -> No | None:
        """What is wrong with the request whoever sent it."""
        host, method, path = headers.get("host", ""), scope["method"], scope["path"]
        if not self._known(host):
            sentence = f"This page is not served under the name {host[:80]!r}; open it by its address or as localhost."
            return No(421, "host", sentence)
        if not path.isprintable() or "\\" in path or ".." in path.split("/"):
            return No(400, "path", "This address cannot be used.")
        site = headers.get("sec-fetch-site", "same-origin")
        if path.startswith("/api/") and site not in ("same-origin", "none"):
            return No(403, "cross-site", FOREIGN)
        if method in ("GET", "HEAD"):
            return None
        if method not in ("POST", "PUT"):
            return No(405, "method", "The page takes GET, POST and PUT.")
        origin = headers.get("origin")
        try:
            own_origin = origin is None or urlsplit(origin).netloc == host
        except ValueError:
            own_origin = False
        if not own_origin or site != "same-origin":
            return No(403, "cross-site", FOREIGN)
        # A form of another page can send text or form data without asking; JSON it cannot.
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            return No(415, "form", "Send JSON with the header 'Content-Type: application/json'.")
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            return No(411, "length", "Say the length of the body with the header 'Content-Length'.")
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            return No(413, "size", f"The body is too large; at most {MAX_BODY_BYTES} bytes are taken.")
        return None

    def _pace(self, scope: Scope, client: str) -> No | None:
        writes = scope["method"] not in ("GET", "HEAD")
        wait_s = self._reads.take(client) or (writes and self._writes.take(client))
        if not wait_s and writes and scope["path"] == "/api/sign-in":
            wait_s = self._sign_ins.take(client)
        return No(429, "rate", "Too much was asked at once; wait a little.", wait_s) if wait_s else None

    def _who(self, headers: Headers, tokens: Tokens) -> Pass | None:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return tokens.by_secret(secret.strip())
        return tokens.by_cookie(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""), int(time.time()))

    def _entry(self, scope: Scope, headers: Headers, client: str, who: Pass | None) -> No | None:
        """Whether this one may have what it asks for."""
        if scope["path"] in OPEN:
            return None
        if who is None:
            if "authorization" in headers and self._sign_ins.take(client):
                return No(429, "rate", "Too many wrong sign-ins; wait a little.", 10)
            return No(401, "sign-in", "Please sign in.")
        if who.wearer is not None:
            asked = [value for key, value in _query(scope["query_string"]) if key == "wearer"]
            if any(value != who.wearer for value in asked):
                return No(403, "wearer", "This sign-in belongs to another wearer.")
        by_cookie = "authorization" not in headers
        # A browser says where a writing request comes from; one that says nothing does not get by on its cookie.
        if by_cookie and scope["method"] not in ("GET", "HEAD") and not {"origin", "sec-fetch-site"} & set(headers):
            return No(403, "cross-site", FOREIGN)
        return None

    def _answer(self, no: No, headers: Headers, scope: Scope) -> Response:
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        if no.status == 401 and not path.startswith("/api/") and "text/html" in headers.get("accept", ""):
            wanted = f"{path}?{query}".rstrip("?")
            return RedirectResponse("/sign-in" if wanted == "/" else f"/sign-in?{urlencode({'to': wanted})}", 303)
        more = {"retry-after": str(int(no.wait_s) + 1)} if no.wait_s else {}
        if no.status == 401:
            more["www-authenticate"] = "Bearer"
        return JSONResponse({"error": no.sentence}, no.status, more)

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


def _query(raw: bytes) -> list[tuple[str, str]]:
    return parse_qsl(raw.decode("latin-1"), keep_blank_values=True)


def _bound_query(raw: bytes, who: Pass | None) -> bytes:
    """The query with the wearer that the sign-in belongs to, so that no handler can forget to look."""
    if who is None or who.wearer is None:
        return raw
    others = [(key, value) for key, value in _query(raw) if key != "wearer"]
    return urlencode([*others, ("wearer", who.wearer)]).encode()


def _client(scope: Scope) -> str:
    """The client's address; of IPv6 the network, since one household has 2^64 addresses."""
    host = (scope.get("client") or ("unknown", 0))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return hashlib.sha256(host.encode("utf-8", "replace")).hexdigest()[:12]
    if isinstance(address, ipaddress.IPv6Address) and not address.is_loopback:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
