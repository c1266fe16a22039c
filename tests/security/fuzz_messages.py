"""Random and damaged messages into every door: the bridge (each topic kind), commands, words and states, the page.

    python -m tests.security.fuzz_messages --count 1000000 --seed 1

For each target ``count`` messages: whatever is accepted must lie within the dictionary (checked here by a reading of its own),
nothing may raise, and memory must stay where it was after the first tenth. Exit status 1 and the message in hexadecimal
where one of these fails; the seed repeats it.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import logging
import math
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from processing.dictionary import EVENT_TYPES, KINDS
from processing.types import POSTURES, DeviceReport, Epoch, Event, Metric, Record
from sensor_gateway import controls
from sensor_gateway.bridge.intake import sort_out
from sensor_gateway.bridge.queue import Good
from sensor_gateway.bridge.states import GatewayStates
from sensor_gateway.clock import SystemClock
from sensor_gateway.commands.command import Command
from sensor_gateway.commands.receiver import Receiver
from sensor_gateway.config import Commands, Issuer, Sensor, Settings, Site
from sensor_gateway.live import LiveHub
from sensor_gateway.mqtt_link import Incoming
from sensor_gateway.rates import Rate
from sensor_gateway.status.refusals import Refusals
from sensor_gateway.web.app import Access, create_app
from sensor_gateway.web.guard import PageLimits
from sensor_gateway.wire import commands as wire
from sensor_gateway.wire import topics
from sensor_gateway.wire.messages import Entry, MessageError, decode_durable, encode_message, encode_record

T0 = 1_790_000_000_000_000_000
KEY = "k" * 64
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
"""A string in line protocol: within one a line break is text, outside it would begin a new point."""
REASONS = {
    "JSON": "no JSON", "truncated": "no JSON", "codec": "no UTF-8", "missing required": "a field missing", "bytes;": "size", "characters;": "size",
    "its topic does not": "speaks for another", "topic ": "topic", "regex": "no identifier", "version": "version",
    "contradict": "numbers contradict", "inside data": "numbers contradict", "none of": "unknown word", "got `": "wrong type",
    "Expected": "out of range", "out of range": "out of range", "outside": "out of range",
}  # fmt: skip
"""What stands in a reason, and what to count it as; the first that fits."""
ACCEPTED = ""
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 0.1, -0.0, 1e308, 1e-320, 5e6, "", " ", "a", "w-001",
    "W-1", "../etc", "a,b=c d", "\n", "\\", '"', "\x00", "\u202e", "é" * 40, "x" * 5000, [], [[]], {}, {"a": {}}, [None] * 50, "NaN",
    "1", "null", "metric", "flag", "standing", "2026-01-01T00:00:00Z",
]  # fmt: skip
CHUNKS = [
    b"NaN",
    b"Infinity",
    b"-",
    b"1e999",
    b"null",
    b"{",
    b"}",
    b"[" * 200,
    b'"',
    b"\\u0000",
    b"\xff",
    b"\x00",
    b",",
    b":",
    b"\\ud800",
]


def record_of(kind: str, rng: random.Random) -> Record:
    """A sound record to damage."""
    t = T0 + rng.randrange(10**9) * 1000
    match kind:
        case "metric":
            return Metric(t, 1.0, 0.1, 1.5, "standing", 0.9, 1.0, 0.8)
        case "event":
            return Event(t, f"e{rng.randrange(10**6)}", rng.choice(sorted(EVENT_TYPES)), None, {"text": "a"})
        case "device":
            return DeviceReport(t)
        case _:
            return _filled(Epoch, kind, t)


def _filled(kind_of: Any, kind: str, t: int) -> Record:
    values = {}
    for f in KINDS[kind]:
        low = 0.0 if f.low is None else f.low
        values[f.name] = {"float64": float(low), "int64": int(low), "string": "standing"}.get(f.type, float(low))
    record: Record = kind_of(**(values | {"t_utc_ns": t}))
    return record


def damaged(sound: bytes, rng: random.Random) -> bytes:
    """``sound`` with one to four changes, of its values or of its bytes; sometimes nothing but noise."""
    way = rng.random()
    if way < 0.05:
        return rng.randbytes(rng.randrange(200))
    if way < 0.55:
        value = json.loads(sound)
        for _ in range(rng.randint(1, 4)):
            _change(value, rng)
        return json.dumps(value, allow_nan=True).encode("utf-8", "surrogatepass")
    data = bytearray(sound)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        act = rng.randrange(4)
        if act == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif act == 1:
            data[at:at] = rng.choice(CHUNKS)
        elif act == 2:
            del data[at : at + rng.randrange(1, 20)]
        else:
            end = rng.randrange(len(data) + 1)
            data[at:at] = data[min(at, end) : min(at, end) + 40]
    return bytes(data)


def _change(value: Any, rng: random.Random) -> None:
    while isinstance(value, dict | list) and value:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.8:
            value = inner
            continue
        act = rng.random()
        if act < 0.7:
            value[key] = copy.deepcopy(rng.choice(ODD))
        elif act < 0.85:
            del value[key]
        elif isinstance(value, dict):
            value[str(rng.choice(ODD))[:100]] = copy.deepcopy(rng.choice(ODD))
        return


def within(kind: str, record: dict[str, Any]) -> str:
    """What of an accepted record lies outside the dictionary; a reading of its own, beside the program's."""
    for f in KINDS[kind]:
        value = record.get(f.name)
        if value is None:
            continue
        if isinstance(value, float) and not math.isfinite(value):
            return f"{f.name} is not finite"
        if f.type in ("float64", "int64") and (isinstance(value, bool) or not isinstance(value, int | float)):
            return f"{f.name} is {value!r}"
        if (f.low is not None and value < f.low) or (f.high is not None and value > f.high):
            return f"{f.name} is {value!r}"
    if kind == "metric" and record["posture"] not in POSTURES:
        return "posture"
    if kind == "event" and record["type"] not in EVENT_TYPES:
        return "type"
    return ""


class Broken(Exception):  # noqa: N818 - it is what is wrong with the program, told by this one
    """Something was let in that must not be."""


def counted_as(reason: str) -> str:
    """A reason without its particulars; in full where it is none of the known ones."""
    return next((name for words, name in REASONS.items() if words in reason), reason[:80])


def bridge_target(kind: str, rng: random.Random) -> Callable[[], str]:
    def once() -> str:
        record = record_of(kind, rng)
        entry = Entry(5, 4, 1, "w-001", "clip-1", kind, record.t_utc_ns, encode_record(record))
        payload = damaged(encode_message(entry, "home", "gw-1", "00112233aabbccdd"), rng)
        topic = topics.record("home", "gw-1", "w-001", kind)
        if rng.random() < 0.05:
            topic = rng.choice(
                ["", "#", topic + "/x", topic.replace("home", ".."), topic.replace("w-001", "status"), "\x00"]
            )
        found = sort_out(Incoming(topic, payload, 1, 1))
        if not isinstance(found, Good):
            return counted_as(found.reason)
        data = json.loads(bytes(found.message.data).decode("utf-8", "replace"))
        wrong = within(kind, data)
        if (
            wrong
            or found.message.wearer != "w-001"
            or found.message.gateway != "gw-1"
            or "\n" in QUOTED.sub("", found.line)
        ):
            raise Broken(f"accepted: {wrong or found.line[:200]!r}; {payload.hex()}")
        return ACCEPTED

    return once


def status_target(rng: random.Random) -> Callable[[], str]:
    states, sound = GatewayStates(SystemClock(), Refusals("message")), b'{"v":1,"online":true,"t_utc_ns":1790000000000000000,"spool":"00112233aabbccdd","queued":5,"durable_up_to":4,"counters":{"stored":9},"vitals":{"lag_s":0.1,"disk_free_bytes":1e9}}'  # fmt: skip

    def once() -> str:
        if states.take(Incoming(topics.status("home", "gw-1"), damaged(sound, rng), 1, 1)) is None:
            return "unreadable"
        if rng.random() < 0.01 and any("\n" in line for line in states.lines()):
            raise Broken("a state breaks its line")
        return ACCEPTED

    return once


def durable_target(rng: random.Random) -> Callable[[], str]:
    sound = b'{"v":1,"spool":"00112233aabbccdd","up_to":47}'

    def once() -> str:
        payload = damaged(sound, rng)
        try:
            word = decode_durable(payload)
        except MessageError as e:
            return counted_as(str(e))
        if word.up_to < 0 or word.v != 1:
            raise Broken(f"accepted {word}; {payload.hex()}")
        return ACCEPTED

    return once


def command_target(rng: random.Random, folder: Path) -> Callable[[], str]:
    """Half are damaged after signing, half are signed as they are damaged: an issuer's program may be faulty too."""
    (folder / "key").write_text(KEY)
    issuer, done, refused = Issuer("pt-1", "key"), [0], dict[str, int]()

    def carry_out(wearer: str, _: object) -> None:
        done[0] += 1
        if wearer != "w-001":
            raise Broken(f"carried out for {wearer}")

    limits = Commands((issuer,), per_minute=600)
    settings = Settings(Site(data_dir="data"), (Sensor("clip-1", "w-001"),), commands=limits)
    receiver = Receiver(settings, folder, SystemClock(), carry_out)
    asked: list[wire.Asked] = [wire.Calibrate(5.0), wire.Snooze(5), wire.Stop(), wire.Resume(), wire.Programme(())]

    def once() -> str:
        now = time.time_ns()
        body = wire.Body(f"{rng.getrandbits(128):032x}", "w-001", now, now + 60 * 10**9, rng.choice(asked))
        payload = wire.sign(receiver.topic, "pt-1", KEY, body)
        within_signature = rng.random() < 0.5
        if within_signature:
            text = damaged(msgspec.json.encode(body), rng).decode("utf-8", "replace")
            mac = wire._mac(receiver.topic, "pt-1", KEY, text)
            payload = json.dumps({"v": 1, "issuer": "pt-1", "body": text, "mac": mac}).encode()
        else:
            payload = damaged(payload, rng)
        before = done[0]
        receipt = receiver.judge(Incoming(receiver.topic, payload, 1, 1, rng.random() < 0.01))
        if done[0] != before and (receipt is None or not receipt.done):
            raise Broken(f"carried out without a receipt; {payload.hex()}")
        now_refused = receiver.refusals.counts()
        kind = next((kind for kind, n in now_refused.items() if n != refused.get(kind, 0)), "")
        refused.update(now_refused)
        if (done[0] != before) == bool(kind):
            raise Broken(f"carried out {done[0] - before}, refused {kind!r}; {payload.hex()}")
        return kind or ACCEPTED

    return once


PATHS = ["/api/answer", "/api/neutral", "/api/log", "/api/mode", "/api/redflags", "/api/programme", "/api/proposal", "/api/review",
         "/api/setup/neutral", "/api/now", "/api/today", "/api/trends", "/api/flag/x", "/report/day", "/", "/nothing"]  # fmt: skip
BODIES = [
    {"event_id": "p1", "answer": "done"}, {"duration_s": 5.0}, {"kind": "pain", "score": 3, "note": "a"}, {"mode": "tracking", "minutes": 5},
    {"answers": {"night_pain": False}}, {"entries": [{"exercise": "isometric_glute_set", "side": "both"}], "editor": "pt-1"},
    {"event_id": "x", "accept": True, "editor": "pt-1"}, {"event_id": "x", "verdict": "useful", "rater": "pt-1"},
]  # fmt: skip


def page_target(rng: random.Random, folder: Path) -> Callable[[], str]:
    """The whole application as a server calls it, guard and all, without sockets and without rate limits."""
    free = Rate(1e12, 1e12)

    async def on_command(wearer: str, command: Command) -> None:
        if wearer != "w-001" or controls.decode(controls.encode(command, 0, T0)) != command:
            raise Broken(f"{command} of {wearer} cannot be journaled")

    settings = Settings(sensors=(Sensor("clip-1", "w-001"),))
    access = Access(None, Refusals("page"), PageLimits(free, free, free))
    app = create_app(folder / "absent.db", LiveHub(), settings, SystemClock(), on_command, access=access)
    loop = asyncio.new_event_loop()

    async def ask() -> int:
        body = damaged(json.dumps(rng.choice(BODIES)).encode(), rng)
        method = rng.choice(["POST", "POST", "POST", "PUT", "GET", rng.choice(["DELETE", "PATCH", "", "get"])])
        path = rng.choice(PATHS)
        if rng.random() < 0.1:
            path += rng.choice(["/..", "\x00", "%", "é", "\n", rng.randbytes(9).decode("latin-1")])
        query = rng.choice(
            [b"", b"wearer=w-001", b"day=2026-01-01&tz=UTC", rng.randbytes(20), b"day=x", b"tz=../../etc", b"days=7"]
        )
        headers = [
            (b"host", rng.choice([b"localhost", b"localhost", b"127.0.0.1", b"[::", b"evil.example", rng.randbytes(5)]))
        ]
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if rng.random() < 0.1:
            headers.append((rng.choice([b"origin", b"cookie", b"authorization", b"sec-fetch-site"]), rng.randbytes(8)))
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode("utf-8", "replace"), "query_string": query,
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http", "http_version": "1.1",
            "root_path": "", "asgi": {"version": "3.0"},
        }  # fmt: skip
        status = [0]

        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not parts:
                await asyncio.Event().wait()  # a client that waits for its answer
            return parts.pop()

        async def send(message: Any) -> None:
            status[0] = message.get("status", status[0])

        await app(scope, receive, send)
        if not 200 <= status[0] < 500 and status[0] != 503:
            raise Broken(f"status {status[0]} for {method} {path!r}; {body.hex()}")
        return status[0]

    def once() -> str:
        status = loop.run_until_complete(ask())
        return ACCEPTED if status < 300 else f"status {status}"

    return once


def targets(seed: int, folder: Path) -> dict[str, Callable[[], str]]:
    made: dict[str, Callable[[], str]] = {
        kind: bridge_target(kind, random.Random(f"{seed}-{kind}")) for kind in TOPIC_KINDS
    }
    made["status"] = status_target(random.Random(f"{seed}-status"))
    made["durable"] = durable_target(random.Random(f"{seed}-durable"))
    made["command"] = command_target(random.Random(f"{seed}-command"), folder)
    made["page"] = page_target(random.Random(f"{seed}-page"), folder)
    return made


TOPIC_KINDS = ("metric", "epoch", "event", "device")


def memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def fuzz(name: str, once: Callable[[], str], count: int) -> dict[str, Any]:
    """Run one target; the numbers, or the exception that ended it."""
    answers: Counter[str] = Counter()
    settled_mb, began = 0.0, time.process_time()
    for i in range(count):
        answers[once()] += 1
        if i == count // 10:
            settled_mb = memory_mb()
    grown = memory_mb() - settled_mb
    if grown > 30:
        raise Broken(f"{name}: memory grew by {grown:.0f} MB")
    return {
        "messages": count,
        "accepted": answers.pop(ACCEPTED, 0),
        "grown_mb": round(grown, 1),
        "memory_mb": round(memory_mb(), 1),
        "cpu_s": round(time.process_time() - began, 1),
        "refused": dict(answers.most_common()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="a target; again for more")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        for name, once in targets(args.seed, Path(folder)).items():
            if args.only and name not in args.only:
                continue
            try:
                print(json.dumps({"target": name, "seed": args.seed, **fuzz(name, once, args.count)}), flush=True)
            except Exception as e:
                print(
                    json.dumps({"target": name, "seed": args.seed, "failed": f"{type(e).__name__}: {e}"[:2000]}),
                    flush=True,
                )
                raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
