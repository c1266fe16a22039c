"""Who must not get in, at the real page over real sockets: no sign-in, another wearer's, other pages, odd paths, floods.

Every refusal is looked for in three places: the answer, the log, and the counters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from processing.types import Event
from sensor_gateway.clock import SystemClock
from sensor_gateway.commands.command import Command
from sensor_gateway.config import ConfigError, Sensor, Settings, Web, WebToken
from sensor_gateway.live import LiveHub
from sensor_gateway.rates import Rate
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.status.refusals import Refusals
from sensor_gateway.web.app import Access, create_app, serve
from sensor_gateway.web.guard import PageLimits
from sensor_gateway.web.tokens import Tokens, load_tokens

SETTINGS = Settings(sensors=(Sensor("clip-1", "w-001"), Sensor("clip-2", "w-002")))
WEARER, OTHER, THERAPIST = "1" * 40, "2" * 40, "t" * 40
JSON = {"content-type": "application/json"}
T0 = 1_790_000_000_000_000_000


class Page:
    """A page being served: its address, what it was made to command, what it refused."""

    def __init__(self, url: str, access: Access, taken: list[tuple[str, Command]]) -> None:
        self.url, self.access, self.taken = url, access, taken
        self.port = int(url.rsplit(":", 1)[1].strip("/"))

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are, as no well-behaved client would."""
        got = b""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=3) as s,
            contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError),
        ):
            s.sendall(data)
            while not is_whole(got) and (chunk := s.recv(65536)):
                got += chunk
        return got


def is_whole(answer: bytes) -> bool:
    """Whether the body is as long as its head says. A connection may stay open after it, so its end is not waited for."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return length is not None and len(body) >= int(length[1])


@asynccontextmanager
async def page(folder: Path, *, tokens: bool = True, limits: PageLimits | None = None) -> AsyncIterator[Page]:
    held = Tokens([("wearer", "w-001", WEARER), ("wearer", "w-002", OTHER), ("therapist", None, THERAPIST)])
    access = Access(held if tokens else None, Refusals("page"), limits or PageLimits())
    taken: list[tuple[str, Command]] = []

    async def on_command(wearer: str, command: Command) -> None:
        taken.append((wearer, command))

    store = Store.open(folder / "store.db")
    store.write([Owned(f"w-00{i}", f"clip-{i}", Event(T0, f"p{i}", "prompt", "tilt_dose", {})) for i in (1, 2)])
    store.close()
    app = create_app(folder / "store.db", LiveHub(), SETTINGS, SystemClock(), on_command, access=access)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(serve(app, "127.0.0.1", 0, on_ready=ready.set_result))
    try:
        yield Page(await asyncio.wait_for(ready, 10), access, taken)
    finally:
        task.cancel()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 10)


def run(folder: Path, test: Callable[[Page, httpx.AsyncClient], Awaitable[None]], **options: object) -> None:
    async def main() -> None:
        async with page(folder, **options) as served, httpx.AsyncClient(base_url=served.url, timeout=20) as client:  # type: ignore[arg-type]
            await test(served, client)

    asyncio.run(main())


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def every_get() -> list[str]:
    """Each address the page answers to, from its own table of routes."""
    app = create_app("absent", None, SETTINGS, SystemClock())
    paths = [getattr(route, "path", "") for route in app.routes]
    return sorted({p.replace("{event_id}", "p1").replace("{step}", "neutral") for p in paths if p})


def test_without_a_sign_in_there_is_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def test(served: Page, client: httpx.AsyncClient) -> None:
        paths = every_get()
        assert len(paths) > 15
        for path in [*paths, "/index.html", "/app.js", "/sw.js", "/nothing"]:
            for headers in ({}, bearer("wrong"), {"cookie": "tiltline=x.9999999999.y"}, bearer(WEARER[:-1])):
                answer = await client.get(path, headers=headers)
                assert answer.status_code in (401, 429), (path, answer.status_code)
                assert "w-00" not in answer.text
        for path in ("/api/mode", "/api/neutral", "/api/log", "/api/answer"):
            assert (await client.post(path, json={})).status_code in (401, 429)
        assert served.taken == []
        counts = served.access.refusals.counts()
        assert counts["sign-in"] >= 50

        open_page = await client.get("/", headers={"accept": "text/html"}, follow_redirects=True)
        assert open_page.url.path == "/sign-in"
        assert "Token" in open_page.text

    run(tmp_path, test)
    assert any("page refused (sign-in) from 127.0.0.1: 'GET' '/api/answer'" in r.message for r in caplog.records)
    assert WEARER[:-1] not in caplog.text
    assert sum("refused" in r.message for r in caplog.records) <= 45, "a flood does not fill the log"


def test_a_wearers_sign_in_reaches_that_wearer_only(tmp_path: Path) -> None:
    async def test(served: Page, client: httpx.AsyncClient) -> None:
        client.headers.update(bearer(WEARER))
        own = (await client.get("/api/now")).json()
        assert (own["wearer"], own["wearers"]) == ("w-001", ["w-001"])
        for path in every_get():
            asked = await client.get(path, params={"wearer": "w-002"})
            assert asked.status_code == 403, path
        assert (await client.get("/api/now?wearer=w-001&wearer=w-002")).status_code == 403
        assert (await client.get("/api/now?wearer=w-002&wearer=w-001")).status_code == 403
        assert (await client.get("/api/now?wearer=%77-002")).status_code == 403
        assert (await client.get("/api/flag/p1")).status_code == 200
        assert (await client.get("/api/flag/p2")).status_code == 404
        assert (await client.post("/api/answer", json={"event_id": "p2", "answer": "done"})).status_code == 404
        assert (await client.post("/api/mode", json={"mode": "tracking"})).status_code == 202
        assert [wearer for wearer, _ in served.taken] == ["w-001"]
        # What only a therapist may do.
        assert (await client.put("/api/programme", json={"entries": [], "editor": "pt-1"})).status_code == 403
        assert (await client.get("/api/review")).status_code == 403
        assert (await client.post("/api/redflags", json={"clear": True, "editor": "pt-1"})).status_code == 403
        assert len(served.taken) == 1
        client.headers.update(bearer(THERAPIST))
        assert (await client.get("/api/now?wearer=w-002")).json()["wearer"] == "w-002"
        assert (await client.get("/api/review?wearer=w-002")).status_code == 200

    run(tmp_path, test)


def test_the_cookie_of_a_sign_in(tmp_path: Path) -> None:
    async def test(served: Page, client: httpx.AsyncClient) -> None:
        origin = {"origin": served.url.rstrip("/")}
        assert (await client.post("/api/sign-in", json={"token": "wrong" * 10})).status_code == 403
        answer = await client.post("/api/sign-in", json={"token": WEARER})
        assert answer.json() == {"role": "wearer", "wearer": "w-001"}
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert WEARER not in cookie
        assert (await client.get("/api/now")).status_code == 200
        assert (await client.get("/api/now?wearer=w-002")).status_code == 403
        body = {"mode": "tracking"}
        silent = await client.post("/api/mode", json=body)
        assert silent.status_code == 403, "a browser says where a request comes from"
        for foreign in ("https://evil.example", "null", f"http://127.0.0.1:{served.port + 1}", "http://[bad"):
            assert (await client.post("/api/mode", json=body, headers={"origin": foreign})).status_code == 403
        assert served.taken == []
        assert (await client.post("/api/mode", json=body, headers=origin)).status_code == 202

        value = client.cookies["tiltline"]
        name, end, mac = value.split(".")
        for forged in (
            f"{name}.{int(end) + 1}.{mac}",
            f"{name}.{end}.{mac[:-1]}",
            f"{name[:-1]}.{end}.{mac}",
            "..",
            "é.1.x",
        ):
            client.cookies.clear()
            raw = await client.get("/api/now", headers={"cookie": f"tiltline={forged}".encode()})
            assert raw.status_code == 401, forged
        client.cookies.set("tiltline", value)
        signed_out = await client.post("/api/sign-out", json={}, headers=origin)
        assert 'tiltline=""' in signed_out.headers["set-cookie"]

    run(tmp_path, test)


def test_a_cookie_ends_and_a_new_token_ends_it_at_once() -> None:
    tokens = Tokens([("wearer", "w-001", WEARER)])
    who = tokens.by_secret(WEARER)
    assert who is not None
    value, lasts_s = tokens.cookie(who, 1000)
    assert tokens.by_cookie(value, 1000 + lasts_s - 1) == who
    assert tokens.by_cookie(value, 1000 + lasts_s) is None
    assert Tokens([("wearer", "w-001", OTHER)]).by_cookie(value, 1001) is None


@pytest.mark.parametrize("tokens", [True, False])
def test_no_path_leads_out_of_the_page(tmp_path: Path, tokens: bool) -> None:
    (tmp_path / "secret.txt").write_text("treasure")
    ups = [
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%5c",
        "..\\",
        "....//",
        "..%252f",
        "%c0%ae%c0%ae/",
        "..;/",
        "..%00/",
    ]

    async def test(served: Page, client: httpx.AsyncClient) -> None:
        async def got(path: str) -> bytes:
            auth = f"authorization: Bearer {THERAPIST}\r\n" if tokens else ""
            head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{auth}connection: close\r\n\r\n"
            return await asyncio.to_thread(served.raw, head.encode("latin-1"))

        assert (await got("/")).startswith(b"HTTP/1.1 200")
        places = ["etc/passwd", "app.py", "guard.py", str(tmp_path / "secret.txt").lstrip("/"), "sign_in.py"]
        for up in ups:
            for place in places:
                for times in (1, 12):
                    for start in ("/", "/exercises/", "//", "/api/flag/"):
                        answer = await got(f"{start}{up * times}{place}")
                        assert answer.split(b" ")[1] in (b"400", b"404", b"405"), (start, up, place, answer[:80])
                        assert b"treasure" not in answer
                        assert b"root:" not in answer
                        assert b"import" not in answer
        for odd in ("/%00", "/\x7f", "/a%0d%0aset-cookie:x", "/" + "a" * 5000, "http://evil.example/", "*", "/%ff%fe"):
            answer = await got(odd)
            assert b" 500 " not in answer.split(b"\r\n")[0], odd
            assert b"set-cookie" not in answer.split(b"\r\n\r\n")[0].lower()
        assert (await client.get("/sign-in" if tokens else "/")).status_code == 200
        assert served.access.refusals.counts()["path"] > 100

    run(tmp_path, test, tokens=tokens, limits=PageLimits(Rate(1e6, 1e6), Rate(1e6, 1e6), Rate(1e6, 1e6)))


@pytest.mark.parametrize(
    "head",
    [
        "POST /api/mode HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n14\r\n" + '{"mode": "tracking"}' + "\r\n0\r\n\r\n",
        'POST /api/mode HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: text/plain\r\ncontent-length: 20\r\n\r\n{"mode": "tracking"}',
        'POST /api/mode HTTP/1.1\r\nhost: evil.example\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{"mode": "tracking"}',
        'POST /api/mode HTTP/1.1\r\nhost: 127.0.0.1\r\nsec-fetch-site: cross-site\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{"mode": "tracking"}',
        "POST /api/mode HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 99999999999999999999\r\n\r\n{}",
        "DELETE /api/programme HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n",
        "OPTIONS /api/mode HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: https://evil.example\r\naccess-control-request-method: POST\r\n\r\n",
        "GET /api/live HTTP/1.1\r\nhost: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + "a" * 3_000_000 + "\r\n\r\n",
    ],
)  # fmt: skip
def test_other_pages_forms_and_tricks_are_refused(tmp_path: Path, head: str) -> None:
    async def test(served: Page, client: httpx.AsyncClient) -> None:
        answer = await asyncio.to_thread(served.raw, head.encode())
        status = int(answer.split(b" ")[1]) if answer else 400
        assert 400 <= status < 500, answer[:200]
        assert b"access-control-allow" not in answer.lower()
        assert served.taken == []

    run(tmp_path, test, tokens=False)


def test_floods_are_slowed_and_streams_are_few(tmp_path: Path) -> None:
    limits = PageLimits(Rate(200, 1.0), Rate(5, 0.1), Rate(3, 0.1), streams=3)

    async def test(served: Page, client: httpx.AsyncClient) -> None:
        tries = [(await client.post("/api/sign-in", json={"token": f"{i}" * 32})).status_code for i in range(6)]
        assert tries == [403, 403, 403, 429, 429, 429]
        refused = await client.post("/api/sign-in", json={"token": WEARER})
        assert int(refused.headers["retry-after"]) >= 1
        client.headers.update(bearer(WEARER))
        head = f"GET /api/live HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {WEARER}\r\n\r\n"
        streams = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(head.encode())
            await asyncio.wait_for(reader.readuntil(b"retry"), 10)
            streams.append(writer)
        assert (await client.get("/api/live")).status_code == 429
        for writer in streams:
            writer.close()
        codes = [(await client.get("/api/exercises")).status_code for _ in range(220)]
        assert set(codes) == {200, 429}
        assert served.access.refusals.counts()["streams"] == 1

    run(tmp_path, test, limits=limits)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "clinic.example"])
def test_a_page_that_others_reach_does_not_start_without_tokens(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=r"key 'web.host' is .*add \[\[web.tokens\]\]"):
        load_tokens(Web(host=host), tmp_path)
    (tmp_path / "short").write_text("short")
    with pytest.raises(
        ConfigError, match=r"key 'web.tokens\[0\].file': the token in 'short' has 5 characters; make one"
    ):
        load_tokens(Web(host=host, tokens=(WebToken("therapist", "short"),)), tmp_path)
    (tmp_path / "long").write_text("x" * 64)
    assert load_tokens(Web(host=host, tokens=(WebToken("therapist", "long"),)), tmp_path) is not None
    twice = (WebToken("therapist", "long"), WebToken("wearer", "long", "w-001"))
    with pytest.raises(ConfigError, match="give each its own"):
        load_tokens(Web(host=host, tokens=twice), tmp_path)
