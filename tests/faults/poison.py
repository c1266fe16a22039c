"""Twenty kinds of bad message and twenty kinds of bad line, each wrong in one way only."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sensor_gateway.wire import topics

Made = tuple[str, bytes]
TOPIC = topics.record("home", "gw-1", "w-001", "metric")


def _field(**changes: Any) -> Callable[[bytes], Made]:
    def change(good: bytes) -> Made:
        body = json.loads(good)
        for key, value in changes.items():
            part, name = (body["data"], key[5:]) if key.startswith("data_") else (body, key)
            if value is None:
                del part[name]
            else:
                part[name] = value
        return TOPIC, json.dumps(body).encode()

    return change


def _topic(topic: str) -> Callable[[bytes], Made]:
    return lambda good: (topic, good)


MESSAGES: dict[str, tuple[Callable[[bytes], Made], str]] = {
    "empty": (lambda _: (TOPIC, b""), "truncated"),
    "no JSON": (lambda _: (TOPIC, b"hello"), "malformed"),
    "cut off": (lambda good: (TOPIC, good[: len(good) // 2]), "truncated"),
    "not UTF-8": (lambda good: (TOPIC, good.replace(b"standing", b"\xff\xfe")), "decode|utf"),
    "too long": (lambda good: (TOPIC, good + b" " * 65_536), "at most 65536"),
    "an array": (lambda _: (TOPIC, b"[1,2]"), "object"),
    "deep nesting": (lambda _: (TOPIC, b"[" * 30_000), "object|depth|recursion|malformed|truncated"),
    "newer version": (_field(v=9), "version 9"),
    "number as text": (_field(data_coverage="full"), "coverage"),
    "not a number": (lambda good: (TOPIC, good.replace(b'"coverage":1.0', b'"coverage":NaN')), "malformed"),
    "out of range": (_field(data_coverage=7.0), "coverage is 7"),
    "unknown posture": (_field(data_posture="flying"), "posture"),
    "field missing": (_field(data_quality=None), "quality"),
    "far future": (_field(t_utc_ns=2**62), "t_utc_ns"),
    "two times": (_field(t_utc_ns=5), "outside and"),
    "seq zero": (_field(seq=0), "seq"),
    "contradicting links": (_field(after=2**40), "contradict"),
    "odd spool": (_field(spool="../../etc"), "spool"),
    "a name for an id": (_field(wearer="Anna Meyer"), "wearer"),
    "another wearer's topic": (_topic(topics.record("home", "gw-1", "w-002", "metric")), "its topic does not"),
    "another gateway's topic": (_topic(topics.record("home", "gw-2", "w-001", "metric")), "its topic does not"),
    "another kind's topic": (_topic(topics.record("home", "gw-1", "w-001", "epoch")), "its topic does not"),
    "a strange topic": (_topic("tiltline/v1/home/gw-1/w-001/soup"), "ends in none of"),
}
"""Kind to what makes it of a good message, and a word of the reason that must be given."""

_HEAD = "tilt,sensor=clip-1,site=home,wearer=w-001"
LINES: dict[str, str] = {
    "no field": f"{_HEAD} {{t}}",
    "no measurement": ",site=home coverage=1.0 {t}",
    "no value": f"{_HEAD} coverage= {{t}}",
    "no field name": f"{_HEAD} =1.0 {{t}}",
    "open quote": f'{_HEAD} posture="standing {{t}}',
    "two suffixes": f"{_HEAD} steps=1ii {{t}}",
    "not a number": f"{_HEAD} coverage=NaN {{t}}",
    "infinite": f"{_HEAD} coverage=+Inf {{t}}",
    "a bare word": f"{_HEAD} coverage=maybe {{t}}",
    "unsigned": f"{_HEAD} steps=1u {{t}}",
    "integer too large": f"{_HEAD} steps=99999999999999999999i {{t}}",
    "text where a number lies": f'{_HEAD} coverage="all" {{t}}',
    "integer where a float lies": f"{_HEAD} coverage=1i {{t}}",
    "number where text lies": f"{_HEAD} posture=1.0 {{t}}",
    "truth where a number lies": f"{_HEAD} coverage=true {{t}}",
    "tag without value": "tilt,sensor=,site=home coverage=1.0 {t}",
    "tag without name": "tilt,=clip-1,site=home coverage=1.0 {t}",
    "no space": "tilt,sensor=clip-1,coverage=1.0",
    "time as text": f"{_HEAD} coverage=1.0 {{t}}x",
    "time too large": f"{_HEAD} coverage=1.0 99999999999999999999",
    "trailing comma": f"{_HEAD} coverage=1.0, {{t}}",
    "endless tag": f"tilt,sensor={'x' * 70_000},site=home coverage=1.0 {{t}}",
}
"""Kind to a line that InfluxDB refuses; ``{t}`` is the time of the good line it takes the place of."""
