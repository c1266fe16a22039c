"""Exercises, programme, diary, health questions, mode, review and set-up over HTTP, with the real coach behind the commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from processing.alignment.capture import Guidance
from processing.coaching.coach import Coach
from processing.coaching.controls import COACH_CONTROLS, LogExercise
from processing.coaching.redflags import QUESTIONS
from processing.pipeline import Answer, CaptureMovement, Control
from processing.rules.study import study_hash
from processing.types import NS_PER_S, Event
from sensor_gateway.commands.command import Command
from sensor_gateway.config import Sensor, Settings
from sensor_gateway.entries import addressed
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.web.app import create_app
from tests.sensor_gateway.web.test_api import SetClock
from tests.sensor_gateway.web.web_day import SENSOR, STUDY, WEARER, seed

SETTINGS = Settings(sensors=(Sensor(SENSOR, WEARER),))
JSON = {"content-type": "application/json"}
NO = {q.id: False for q in QUESTIONS}
Test = Callable[[httpx.AsyncClient], Awaitable[None]]


class Desk:
    """A gateway in small: commands go through the coach, its events into the store the page reads."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        self.clock = SetClock(seed(self.path))
        self.coach = Coach(WEARER, SENSOR, STUDY, study_hash(STUDY))
        self.taken: list[Control] = []
        self.running: Guidance | None = None
        self.store = Store.open(self.path)

    async def on_command(self, wearer: str, entered: Command) -> None:
        assert wearer == WEARER
        command = addressed(entered, self.store)
        self.taken.append(command)
        self.clock.now += NS_PER_S
        if isinstance(command, Answer):
            done = LogExercise(command.exercise, command.side, command.sets, command.reps, command.event_id)
            self.keep(self.coach.answer(self.clock.now, command.event_id, command.answer, done))
        elif isinstance(command, COACH_CONTROLS):
            self.keep(self.coach.control(command, self.clock.now))

    def keep(self, events: list[Event]) -> None:
        self.store.write(Owned(WEARER, SENSOR, e) for e in events)

    def app(self) -> Starlette:
        return create_app(self.path, None, SETTINGS, self.clock, self.on_command, STUDY, lambda _: self.running)


class SignedIn:
    """What a guard with tokens does: a role, and the wearer it is bound to."""

    def __init__(self, app: ASGIApp, role: str, wearer: str | None) -> None:
        self.app, self.role, self.wearer = app, role, wearer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {}).update(role=self.role, wearer=self.wearer)
        await self.app(scope, receive, send)


@pytest.fixture
def desk(tmp_path: Path):
    found = Desk(tmp_path)
    yield found
    found.store.close()


def run(app: ASGIApp, test: Test) -> None:
    async def main() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            await test(client)

    asyncio.run(main())


def test_the_library_comes_whole_with_pictures_that_exist(desk: Desk) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        found = (await client.get("/api/exercises")).json()
        assert len(found) >= 12
        for one in found:
            assert {
                "id",
                "name",
                "purpose",
                "sides",
                "level",
                "dose",
                "steps",
                "regression",
                "progression",
            } <= one.keys()
            picture = await client.get(one["picture"])
            assert picture.status_code == 200
            assert picture.headers["content-type"].startswith("image/svg+xml")

    run(desk.app(), test)


def test_a_programme_is_set_waits_for_its_day_and_then_holds(desk: Desk) -> None:
    entry = {"exercise": "single_leg_bridge", "side": "left", "sets": 1, "reps": 6, "hold_s": 3}

    async def test(client: httpx.AsyncClient) -> None:
        before = (await client.get("/api/programme")).json()
        assert (before["version"], before["pending"], before["proposals"]) == (1, None, [])
        put = await client.put("/api/programme", json={"entries": [entry], "editor": "pt-1"})
        assert put.status_code == 202
        now = (await client.get("/api/programme")).json()
        assert (now["version"], now["entries"]) == (1, before["entries"])
        assert (now["pending"]["version"], now["pending"]["entries"]) == (2, [entry])
        desk.clock.now += 86_400 * NS_PER_S
        later = (await client.get("/api/programme")).json()
        assert (later["version"], later["entries"], later["editor"], later["pending"]) == (2, [entry], "pt-1", None)
        history = (await client.get("/api/programme/history")).json()
        assert [(h["type"], h["version"], h["before"]["version"]) for h in history] == [("programme", 2, 1)]

    run(desk.app(), test)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("PUT", "/api/programme", {"entries": [{"exercise": "hip_hing"}], "editor": "pt-1"}, 422, "did you mean"),
        ("PUT", "/api/programme", {"entries": [{"exercise": "hip_hinge", "sets": 0}], "editor": "pt-1"}, 422, "sets"),
        ("PUT", "/api/programme", {"entries": [], "editor": ""}, 422, "pseudonym"),
        ("POST", "/api/proposal", {"event_id": "nope", "accept": True, "editor": "pt-1"}, 404, "not open any more"),
        ("POST", "/api/log", {"kind": "pain"}, 422, "'score'"),
        ("POST", "/api/log", {"kind": "pain", "score": 11}, 422, "0 to 10"),
        ("POST", "/api/log", {"kind": "pain", "score": "5"}, 422, "Expected `int"),
        ("POST", "/api/log", {"kind": "note", "note": " "}, 422, "write something"),
        ("POST", "/api/log", {"kind": "note", "note": "x" * 501}, 422, "at most 500"),
        ("POST", "/api/log", {"kind": "exercise", "exercise": "nope"}, 422, "not in the library"),
        (
            "POST",
            "/api/log",
            {"kind": "exercise", "exercise": "hamstring_walk_out", "side": "left"},
            422,
            "can be done",
        ),
        ("POST", "/api/log", {"kind": "dance"}, 422, "Invalid enum"),
        ("POST", "/api/redflags", {"answers": {"fall": False}}, 422, "every question"),
        ("POST", "/api/redflags", {"clear": True}, 422, "pseudonym"),
        ("POST", "/api/mode", {"mode": "off"}, 422, "Invalid enum"),
        ("POST", "/api/mode", {"mode": "tracking", "minutes": 0}, 422, "minutes are 1 to"),
        ("POST", "/api/review", {"event_id": "nope", "verdict": "useful", "rater": "pt-1"}, 404, "no such flag"),
        ("GET", "/api/review?state=old", None, 400, "state=open"),
        ("POST", "/api/setup/dance", {}, 404, "neutral, bow, tilt, walk"),
        ("POST", "/api/setup/neutral", {"duration_s": 500}, 422, "2 to 120"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(desk: Desk, method, path, body, status, says) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, path, json=body)
        assert answer.status_code == status
        assert says.lower() in answer.json()["error"].lower()
        assert desk.taken == []

    run(desk.app(), test)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'{"no such": 1}'])
def test_every_door_gives_a_bad_body_the_same_code(desk: Desk, body: bytes) -> None:
    doors = ("answer", "neutral", "proposal", "log", "redflags", "mode", "review", "setup/neutral")

    async def test(client: httpx.AsyncClient) -> None:
        for method, door in (("PUT", "programme"), *(("POST", door) for door in doors)):
            answer = await client.request(method, f"/api/{door}", content=body, headers=JSON)
            assert (answer.status_code, "cannot be used" in answer.json()["error"]) == (422, True), door
        assert desk.taken == []

    run(desk.app(), test)


def test_pain_is_logged_and_much_pain_asks_the_questions(desk: Desk) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        first = (await client.get("/api/redflags")).json()
        assert first["due"] is True
        assert first["asked_utc_ns"] is None
        assert [q["id"] for q in first["questions"]] == list(NO)
        await client.post("/api/redflags", json={"answers": NO})
        assert (await client.get("/api/redflags")).json()["due"] is False
        low = await client.post("/api/log", json={"kind": "pain", "score": 3})
        assert low.json()["asks_health_questions"] is False
        high = await client.post("/api/log", json={"kind": "pain", "score": 8, "note": "since noon"})
        assert (high.status_code, high.json()["asks_health_questions"]) == (202, True)
        asked = (await client.get("/api/redflags")).json()
        assert (asked["due"], asked["asked_utc_ns"] is not None, asked["stop"]) == (True, True, False)
        yes = (await client.post("/api/redflags", json={"answers": NO | {"fall": True}})).json()
        assert yes["stop"] is True
        assert "doctor or your therapist" in yes["text"]
        again = (await client.post("/api/redflags", json={"answers": NO})).json()
        assert again["stop"] is True
        assert (await client.get("/api/redflags")).json()["stop"] is True
        await client.post("/api/redflags", json={"clear": True, "editor": "pt-1"})
        assert (await client.get("/api/redflags")).json()["stop"] is False

    run(desk.app(), test)


def test_the_mode_lasts_as_long_as_it_was_chosen(desk: Desk) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        shown = (await client.get("/api/mode")).json()
        assert (shown["mode"], shown["quiet_from"], shown["quiet_to"]) == ("training", "22:00", "07:00")
        await client.post("/api/mode", json={"mode": "tracking", "minutes": 30})
        assert (await client.get("/api/mode")).json()["mode"] == "tracking"
        desk.clock.now += 1801 * NS_PER_S
        assert (await client.get("/api/mode")).json()["mode"] == "training"
        await client.post("/api/mode", json={"mode": "stopped"})
        desk.clock.now += 7 * 86_400 * NS_PER_S
        assert (await client.get("/api/mode")).json()["mode"] == "stopped"

    run(desk.app(), test)


def test_the_review_shows_each_flag_with_its_chain_and_takes_verdicts(desk: Desk) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        queue = (await client.get("/api/review")).json()
        assert queue["flags"]
        assert queue["precision"] == {}
        waits = (await client.get("/api/review/wearers")).json()["waiting"]
        assert waits == {WEARER: {"flags": len(queue["flags"]), "proposals": 0}}
        flag = queue["flags"][0]
        assert {"rule", "text", "value", "limit", "outcome", "exercises", "responses", "verdicts"} <= flag.keys()
        prompted = next(f for f in queue["flags"] if f["prompt"])
        await client.post("/api/log", json=done(prompted["prompt"]["event_id"]))
        for verdict in ("not_useful", "useful"):
            body = {"event_id": prompted["event_id"], "verdict": verdict, "rater": "pt-1", "note": "seen"}
            assert (await client.post("/api/review", json=body)).status_code == 202
        left = (await client.get("/api/review")).json()
        assert prompted["event_id"] not in {f["event_id"] for f in left["flags"]}
        assert (await client.get("/api/review/wearers")).json()["waiting"][WEARER]["flags"] == len(left["flags"])
        shown = (await client.get("/api/review?state=all")).json()
        mine = next(f for f in shown["flags"] if f["event_id"] == prompted["event_id"])
        assert [v["verdict"] for v in mine["verdicts"]] == ["not_useful", "useful"]
        assert mine["verdict"] == "useful"
        assert shown["precision"] == {
            mine["rule"]: {"useful": 1, "not_useful": 0, "wrong_posture": 0, "judged": 1, "precision": 1.0}
        }

    run(desk.app(), test)


def done(event_id: str) -> dict[str, object]:
    return {"kind": "exercise", "exercise": "isometric_glute_set", "side": "both", "event_id": event_id}


def test_a_wearer_cannot_do_what_is_the_therapists(desk: Desk) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        refused = [
            await client.put("/api/programme", json={"entries": [], "editor": "me"}),
            await client.post("/api/proposal", json={"event_id": "x", "accept": True, "editor": "me"}),
            await client.post("/api/redflags", json={"clear": True, "editor": "me"}),
            await client.get("/api/review"),
            await client.post("/api/review", json={"event_id": "x", "verdict": "useful", "rater": "me"}),
            await client.get("/api/programme?wearer=w-002"),
        ]
        assert [r.status_code for r in refused] == [403] * 6
        assert all("therapist" in r.json()["error"] for r in refused[:5])
        assert desk.taken == []
        assert (await client.get("/api/programme")).status_code == 200
        assert (await client.post("/api/log", json={"kind": "pain", "score": 2})).status_code == 202

    run(SignedIn(desk.app(), "wearer", WEARER), test)


def test_a_set_up_step_runs_and_tells_its_outcome(desk: Desk) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        overview = (await client.get("/api/setup")).json()
        assert overview["aligned"] is True
        assert [s["state"] for s in overview["steps"]] == ["todo"] * 4
        assert (await client.post("/api/setup/bow", json={})).json()["state"] == "running"
        assert desk.taken == [CaptureMovement("bows", 12.0)]
        desk.running = Guidance("bows", 3.0, 12.0, False, "Bow a little further.")
        shown = (await client.get("/api/setup/bow")).json()
        assert (shown["state"], shown["progress"], shown["good"], shown["text"]) == (
            "running",
            0.25,
            False,
            "Bow a little further.",
        )
        desk.running = None
        desk.clock.now += 13 * NS_PER_S
        data = {"outcome": "refused", "reason": "too few bows", "step": "bows"}
        desk.keep([Event(desk.clock.now, "ee01", "alignment", None, data)])
        shown = (await client.get("/api/setup/bow")).json()
        assert (shown["state"], shown["reason"]) == ("failed", "too few bows")
        await client.post("/api/setup/neutral", json={})
        desk.clock.now += 60 * NS_PER_S
        shown = (await client.get("/api/setup/neutral")).json()
        assert (shown["state"], "No data" in shown["reason"]) == ("failed", True)

    run(desk.app(), test)
