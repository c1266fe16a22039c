"""The page's HTTP interface over a real store: data, commands, refusals of what foreign pages could send, live stream."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from processing.pipeline import Answer, CaptureNeutral
from processing.types import NS_PER_S, Event
from sensor_gateway.commands.command import Command, CommandError
from sensor_gateway.config import Sensor, Settings
from sensor_gateway.live import LiveFrame, LiveHub
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.web.app import create_app, serve
from tests.sensor_gateway.web.web_day import SENSOR, STUDY, WEARER, seed

SETTINGS = Settings(sensors=(Sensor(SENSOR, WEARER),))


class SetClock:
    """A clock that stands where a test puts it."""

    def __init__(self, utc_ns: int) -> None:
        self.now = utc_ns

    def utc_ns(self) -> int:
        return self.now

    def mono_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += round(seconds * NS_PER_S)
        await asyncio.sleep(0)


class Gateway:
    """Takes commands as the gateway would; refuses them all with ``refusal`` where one is set."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Command]] = []
        self.refusal = ""

    async def on_command(self, wearer: str, command: Command) -> None:
        if self.refusal:
            raise CommandError(self.refusal)
        self.taken.append((wearer, command))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    path = tmp_path_factory.mktemp("page") / "store.sqlite"
    return path, seed(path)


def run(test: Callable[[httpx.AsyncClient], Awaitable[None]], app: object) -> None:
    async def main() -> None:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            await test(client)

    asyncio.run(main())


def test_now_tells_state_range_battery_and_withholds_the_old(day: tuple[Path, int]) -> None:
    path, end = day
    clock = SetClock(end + 2 * NS_PER_S)

    async def test(client: httpx.AsyncClient) -> None:
        now = (await client.get("/api/now")).json()
        assert now["status"] == "record"
        assert now["frame"]["tilt_deg"] == 2.1
        assert now["quality"] == 0.91
        assert 80 < now["battery_percent"] < 90
        assert now["range"]["minutes"] > 120
        assert now["range"]["low_deg"] < now["range"]["high_deg"]
        assert now["can_command"] is False
        assert now["wearers"] == [WEARER]
        clock.now = end + 61 * NS_PER_S
        response = await client.get("/api/now")
        assert response.json()["status"] == "stale"
        assert "2.1" not in response.text

    run(test, create_app(path, None, SETTINGS, clock, study=STUDY))


def test_a_damaged_store_is_told_in_words_and_ends_no_stream_with_an_error(
    day: tuple[Path, int], tmp_path: Path
) -> None:
    data, end = day[0].read_bytes(), day[1]
    broken = tmp_path / "store.sqlite"
    broken.write_bytes(data[:8192] + b"\xa5" * (len(data) - 8192))

    async def test(client: httpx.AsyncClient) -> None:
        for path in ("/api/now", "/api/today?tz=UTC", "/api/trends?days=7&tz=UTC"):
            answer = await client.get(path)
            assert (answer.status_code, "please tell whoever looks after this gateway" in answer.text) == (503, True), (
                path
            )
        assert "event: now" not in (await client.get(f"/api/live?wearer={WEARER}")).text

    run(test, create_app(broken, LiveHub(), SETTINGS, SetClock(end), study=STUDY))


def test_live_frames_go_stale_after_five_seconds(day: tuple[Path, int]) -> None:
    path, end = day
    clock, hub = SetClock(end), LiveHub()
    hub.publish(LiveFrame(end, -4.4, 0.0, True, "sitting", WEARER, SENSOR))

    async def test(client: httpx.AsyncClient) -> None:
        now = (await client.get("/api/now")).json()
        assert (now["status"], now["frame"]["tilt_deg"], now["frame"]["posture"]) == ("live", -4.4, "sitting")
        clock.now = end + 6 * NS_PER_S
        now = (await client.get("/api/now")).json()
        assert (now["status"], now["frame"]) == ("stale", None)

    run(test, create_app(path, hub, SETTINGS, clock, study=STUDY))


def test_today_has_minutes_bands_gaps_and_flags(day: tuple[Path, int]) -> None:
    path, end = day

    async def test(client: httpx.AsyncClient) -> None:
        today = (await client.get("/api/today", params={"tz": "Europe/Berlin"})).json()
        assert today["is_today"]
        assert today["day"] == "2026-03-10"
        assert len(today["minutes"]["t_ms"]) == 575  # 07:10 to 17:20 without the gap of 35 minutes
        assert today["posture_s"]["lying"] == 25 * 60
        gap = [b for a, b in zip(today["bands"], today["bands"][1:], strict=False) if a["to_ms"] != b["from_ms"]]
        assert len(gap) == 1
        assert {f["outcome"] for f in today["flags"]} == {"prompt", "suppressed"}
        assert today["alignments"][0]["outcome"] == "in force"
        other = (await client.get("/api/today", params={"tz": "Europe/Berlin", "day": "2026-03-09"})).json()
        assert (other["is_today"], other["minutes"]["t_ms"], other["flags"]) == (False, [], [])
        for query in ({"tz": "Moon/Base"}, {"day": "10.3.2026"}, {"tz": "../etc/passwd"}):
            refused = await client.get("/api/today", params=query)
            assert refused.status_code == 400
            assert "Europe/Berlin" in refused.json()["error"]

    run(test, create_app(path, None, SETTINGS, SetClock(end), study=STUDY))


def test_flag_by_id_with_all_its_data_and_what_followed(day: tuple[Path, int]) -> None:
    path, end = day

    async def test(client: httpx.AsyncClient) -> None:
        today = (await client.get("/api/today?tz=Europe/Berlin")).json()
        flag = (await client.get(f"/api/flag/{today['flags'][0]['event_id']}")).json()
        assert flag["type"] == "flag"
        assert flag["data"]["epochs"]["tilt_mdeg"]
        assert [e["type"] for e in flag["followed_by"]] == ["prompt"]
        missing = await client.get("/api/flag/nothing")
        assert missing.status_code == 404
        assert "nothing" in missing.json()["error"]

    run(test, create_app(path, None, SETTINGS, SetClock(end), study=STUDY))


def test_answers_and_neutral_reach_the_gateway(day: tuple[Path, int], tmp_path: Path) -> None:
    _, end = day
    path, gateway = tmp_path / "store.sqlite", Gateway()
    store = Store.open(path)
    prompt = Event(end, "p1", "prompt", "tilt_dose", {"exercise_name": "Hip hinge", "flag_event_id": "f1"})
    flag = Event(end, "f1", "flag", "tilt_dose", {})
    store.write([Owned(WEARER, SENSOR, prompt), Owned(WEARER, SENSOR, flag)])
    store.close()

    async def test(client: httpx.AsyncClient) -> None:
        assert (await client.get("/api/now")).json()["prompt"]["exercise_name"] == "Hip hinge"
        bad = await client.post("/api/answer", json={"event_id": "p1", "answer": "maybe"})
        assert bad.status_code == 422
        assert (await client.post("/api/answer", json={"event_id": "f1", "answer": "done"})).status_code == 422
        assert (await client.post("/api/answer", json={"event_id": "p9", "answer": "done"})).status_code == 404
        assert (await client.post("/api/answer", json={"event_id": "p1"})).status_code == 422
        gateway.refusal = "The sensor's line has stopped: the disk is full."
        refused = await client.post("/api/answer", json={"event_id": "p1", "answer": "done"})
        assert (refused.status_code, refused.json()["error"]) == (409, gateway.refusal)
        gateway.refusal = ""
        assert gateway.taken == []
        assert (await client.post("/api/answer", json={"event_id": "p1", "answer": "done"})).status_code == 202
        assert (await client.get("/api/now")).json()["prompt"] is None
        assert (await client.post("/api/neutral", json={"duration_s": 500})).status_code == 422
        assert (await client.post("/api/neutral", json={})).status_code == 202
        assert gateway.taken == [(WEARER, Answer("p1", "done")), (WEARER, CaptureNeutral(5.0))]

    run(test, create_app(path, LiveHub(), SETTINGS, SetClock(end), gateway.on_command, STUDY))


def test_without_a_gateway_commands_are_refused_with_the_remedy(day: tuple[Path, int]) -> None:
    path, end = day

    async def test(client: httpx.AsyncClient) -> None:
        refused = await client.post("/api/neutral", json={})
        assert refused.status_code == 503
        assert "tiltline run" in refused.json()["error"]

    run(test, create_app(path, None, SETTINGS, SetClock(end)))


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"host": "evil.example"}, b"{}", 421),
        ({"host": "evil.example:8080"}, b"{}", 421),
        ({"origin": "https://evil.example"}, b"{}", 403),
        ({"origin": "null"}, b"{}", 403),
        ({"origin": "http://127.0.0.1:9999"}, b"{}", 403),
        ({"sec-fetch-site": "cross-site"}, b"{}", 403),
        ({"sec-fetch-site": "same-site"}, b"{}", 403),
        ({"content-type": "text/plain"}, b"{}", 415),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", 415),
        ({}, b" " * 5000 + b"{}", 413),
        ({}, b"[", 422),
        ({"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}, b"{}", 202),
    ],
)
def test_foreign_pages_cannot_command(headers: dict[str, str], body: bytes, status: int) -> None:
    gateway = Gateway()

    async def test(client: httpx.AsyncClient) -> None:
        sent = {"content-type": "application/json", **headers}
        response = await client.post("/api/neutral", content=body, headers=sent)
        assert response.status_code == status, response.text
        assert bool(gateway.taken) == (status == 202)

    run(test, create_app("absent.sqlite", LiveHub(), SETTINGS, SetClock(0), gateway.on_command))


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "192.168.1.7:8080"])
def test_own_names_are_known(host: str) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        assert (await client.get("/api/now", headers={"host": host})).status_code == 200

    run(test, create_app("absent.sqlite", LiveHub(), SETTINGS, SetClock(0)))


def test_no_store_yet_is_no_data_and_unknown_wearers_are_named(tmp_path: Path) -> None:
    two = Settings(sensors=(Sensor("a", "w-001"), Sensor("b", "w-002")))

    async def one(client: httpx.AsyncClient) -> None:
        assert (await client.get("/api/now")).json()["status"] == "never"
        assert (await client.get("/api/today")).json()["minutes"]["t_ms"] == []
        assert (await client.get("/api/now?wearer=w-9")).status_code == 404

    async def several(client: httpx.AsyncClient) -> None:
        response = await client.get("/api/now")
        assert response.status_code == 404
        assert "w-001, w-002" in response.json()["error"]
        assert (await client.get("/api/now?wearer=w-002")).json()["wearer"] == "w-002"

    run(one, create_app(tmp_path / "no.sqlite", LiveHub(), SETTINGS, SetClock(0)))
    run(several, create_app(tmp_path / "no.sqlite", LiveHub(), two, SetClock(0)))


def test_headers_and_weight_of_the_first_load() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        page = await client.get("/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert (await client.get("/api/now")).headers["cache-control"] == "no-store"
        shell = (await client.get("/sw.js")).text.split("SHELL = [")[1].split("]")[0]
        names = shell.split('"')[1::2]
        weight = 0
        for name in names:
            response = await client.get(f"/{name.removeprefix('./')}")
            assert response.status_code == 200, name
            assert response.headers["cache-control"] == "no-cache"
            weight += len(response.content)
        assert weight <= 150_000  # even uncompressed
        static = Path(__file__).parents[3] / "sensor_gateway/web/static"
        files = {str(p.relative_to(static)) for p in static.rglob("*") if p.is_file()}
        # Pictures are kept after the page, icons by the system; the others are the therapist's pages.
        later = ("exercises/", "setup/", "icon-", "review.", "programme.", "desk.")
        kept = {name for name in files - set(names) if not name.startswith(later)}
        assert kept == {"index.html", "sw.js"}, "the service worker keeps every file of the page"
        for name in files:
            if name.endswith(".png"):
                continue
            text = (static / name).read_text(encoding="utf-8")
            assert "https://" not in text, f"{name} names a foreign address"

    run(test, create_app("absent.sqlite", LiveHub(), SETTINGS, SetClock(0)))


def test_every_string_the_page_asks_for_is_in_the_catalogue() -> None:
    import re

    static = Path(__file__).parents[3] / "sensor_gateway/web/static"
    catalogue = json.loads((static / "i18n/en.json").read_text(encoding="utf-8"))
    known = set(catalogue) | {k.rsplit(".", 1)[0] for k in catalogue if k.endswith((".one", ".other"))}
    asked = set(re.findall(r'data-t="([\w.]+)"', (static / "index.html").read_text()))
    for script in static.glob("*.js"):
        text = script.read_text()
        asked |= set(re.findall(r'\bt\(\s*"([\w.]+)"', text))
        asked |= {a or b for a, b in re.findall(r'\? "([a-z_]+\.[\w.]+)"|: "([a-z_]+\.[\w.]+)"', text)}
    assert len(asked) > 60
    assert asked <= known, asked - known
    from processing.rules.gate import REASONS

    assert {f"quiet.{reason}" for reason in REASONS} <= known


@asynccontextmanager
async def served(app: object, host: str = "127.0.0.1") -> AsyncIterator[str]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(serve(app, host, 0, on_ready=ready.set_result))  # type: ignore[arg-type]
    try:
        yield await asyncio.wait_for(ready, 60)
    finally:
        task.cancel()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 60)


def test_the_stream_carries_each_fresh_frame_at_once_and_ends_with_the_server(day: tuple[Path, int]) -> None:
    path, end = day
    hub, clock = LiveHub(), SetClock(end)

    async def first_frames(client: httpx.AsyncClient, url: str) -> list[float]:
        tilts: list[float] = []
        async with client.stream("GET", f"{url}api/live") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            kind = ""
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: ") and kind == "now":
                    for i in range(20):  # the first is too old, the others are fresh
                        t = end - (10 if i == 0 else 0) * NS_PER_S
                        hub.publish(LiveFrame(t, float(i), None, True, "walking", WEARER, SENSOR))
                elif line.startswith("data: "):
                    tilts.append(json.loads(line[6:])["tilt_deg"])
                    if len(tilts) == 19:
                        break
        return tilts

    async def main() -> list[float]:
        async with httpx.AsyncClient(timeout=60) as client:
            async with served(create_app(path, hub, SETTINGS, clock)) as url:
                tilts = await asyncio.wait_for(first_frames(client, url), 60)
                await asyncio.wait_for(_until(lambda: hub.subscribers == 0), 60)  # the server saw the reader leave
                still_open = asyncio.ensure_future(_read_all(client, f"{url}api/live"))
                await asyncio.wait_for(_until(lambda: hub.subscribers == 1), 60)
            await asyncio.wait_for(still_open, 60)  # a server that goes down ends its streams
        return tilts

    assert asyncio.run(main()) == [float(i) for i in range(1, 20)]


def test_no_answer_waits_for_the_readers_acknowledgement(day: tuple[Path, int]) -> None:
    """With Nagle's delay each answer after the first few would take the 40 ms for which Linux holds an acknowledgement back."""

    async def main() -> float:
        app = create_app(day[0], None, SETTINGS, SetClock(day[1]))
        async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            took: list[float] = []
            for _ in range(60):
                began = time.monotonic()
                (await client.get("/")).raise_for_status()
                took.append(time.monotonic() - began)
            return min(took[30:])

    assert asyncio.run(main()) < 0.035


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens in the server and sets no event
        await asyncio.sleep(0.02)


async def _read_all(client: httpx.AsyncClient, url: str) -> int:
    async with client.stream("GET", url) as response:
        return sum([len(part) async for part in response.aiter_bytes()])


def test_a_page_on_all_addresses_is_told_under_a_name_that_it_answers_to(day: tuple[Path, int]) -> None:
    path, end = day

    async def asked() -> tuple[httpx.URL, int]:
        async with (
            served(create_app(path, None, SETTINGS, SetClock(end)), "0.0.0.0") as told,
            httpx.AsyncClient() as client,
        ):
            url = httpx.URL(told)
            answer = await client.get(
                url.copy_with(host="127.0.0.1"), headers={"host": url.netloc.decode()}, timeout=60
            )
            return url, answer.status_code

    url, status = asyncio.run(asked())
    assert url.host.startswith(socket.gethostname().lower())
    assert status == 200


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{port}.*web\.port"):
            asyncio.run(serve(create_app("absent.sqlite", None, SETTINGS, SetClock(0)), "127.0.0.1", port))
