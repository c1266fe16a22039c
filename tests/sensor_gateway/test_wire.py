"""What goes over the wire: topics, messages, line protocol, summaries."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.dictionary import EVENT_TYPES, INFLUX, KINDS, RETRO, TAGS
from processing.types import DeviceReport, Epoch, Event, Metric, Record
from sensor_gateway.wire import messages, topics
from sensor_gateway.wire.line import line
from sensor_gateway.wire.messages import Entry, MessageError
from sensor_gateway.wire.privacy import without_note
from sensor_gateway.wire.summary import MAX_CHARS, summary
from sensor_gateway.wire.topics import RecordTopic, TopicError

T0 = 1_790_000_000_000_000_000
METRIC = Metric(T0, 3.2, -0.5, 1.25, "walking", 0.75, 1.0, 0.5)
EPOCH = Epoch(T0, None, None, None, None, None, 60, 0, 0, 0, 0, 0, 0, 0, None, 1.0, 0.0)
EVENT = Event(T0, "0f3a", "flag", "tilt_dose", {"text": 'He said "up", 5°\\', "n": [1, None]})
DEVICE = DeviceReport(T0, battery_percent=80.0, frames_received=12, link="streaming")
SPOOL = "0123456789abcdef"


def entry(record: Record, kind: str, seq: int = 7) -> Entry:
    return Entry(seq, seq - 1, 3, "w-001", "clip-1", kind, record.t_utc_ns, messages.encode_record(record))


@pytest.mark.parametrize(
    ("record", "kind"), [(METRIC, "metric"), (EPOCH, "epoch"), (EVENT, "event"), (DEVICE, "device")]
)
def test_a_message_brings_the_record_back_exactly(record: Record, kind: str) -> None:
    message = messages.decode_message(messages.encode_message(entry(record, kind), "home", "gw-1", SPOOL))
    assert messages.message_record(message) == record
    assert (message.kind, message.site, message.wearer, message.sensor) == (kind, "home", "w-001", "clip-1")
    assert (message.gateway, message.spool, message.seq, message.after, message.floor) == ("gw-1", SPOOL, 7, 6, 3)


def test_the_shape_on_the_wire_is_the_documented_one() -> None:
    got = json.loads(messages.encode_message(entry(METRIC, "metric"), "home", "gw-1", SPOOL))
    data = got.pop("data")
    assert got == {
        "v": 1,
        "kind": "metric",
        "site": "home",
        "wearer": "w-001",
        "sensor": "clip-1",
        "gateway": "gw-1",
        "spool": SPOOL,
        "seq": 7,
        "after": 6,
        "floor": 3,
        "t_utc_ns": T0,
    }
    assert list(data) == [f.name for f in KINDS["metric"]]


def altered(**changes: Any) -> bytes:
    message = json.loads(messages.encode_message(entry(METRIC, "metric"), "home", "gw-1", SPOOL))
    for key, value in changes.items():
        target, name = (message["data"], key[5:]) if key.startswith("data_") else (message, key)
        if value is ...:
            del target[name]
        else:
            target[name] = value
    return json.dumps(message).encode()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"v": 2}, "version 2"),
        ({"v": "1"}, r"\$.v"),
        ({"wearer": "Jane Doe"}, r"\$.wearer"),
        ({"seq": 0}, r"\$.seq"),
        ({"seq": 1.5}, r"\$.seq"),
        ({"after": 7}, "contradict"),
        ({"floor": 9}, "contradict"),
        ({"spool": "x"}, r"\$.spool"),
        ({"t_utc_ns": -5}, r"\$.t_utc_ns"),
        ({"t_utc_ns": T0 + 1}, "inside data"),
        ({"kind": "meal"}, "kind 'meal'"),
        ({"kind": "epoch"}, "epoch:"),
        ({"gateway": ...}, "gateway"),
        ({"data": []}, "metric:"),
        ({"data_coverage": 1.5}, "coverage is 1.5, outside 0..1"),
        ({"data_coverage": None}, "coverage"),
        ({"data_coverage": "1"}, "coverage"),
        ({"data_coverage": ...}, "coverage"),
        ({"data_posture": "flying"}, "posture 'flying'"),
        ({"data_anterior_tilt_deg": 181}, "anterior_tilt_deg is 181.0"),
    ],
)
def test_bad_messages_are_refused_with_the_field_named(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(MessageError, match=word):
        messages.message_record(messages.decode_message(altered(**changes)))


def test_a_field_of_a_newer_gateway_is_ignored() -> None:
    message = messages.decode_message(altered(extra=1, data_new_field=2.5))
    assert messages.message_record(message) == METRIC


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(MessageError):
        messages.decode_message(data)
    with pytest.raises(MessageError):
        messages.decode_durable(data)


def test_size_is_bounded() -> None:
    with pytest.raises(MessageError, match="at most 65536"):
        messages.decode_message(b" " * 65_537)


def test_durable_comes_back() -> None:
    assert messages.decode_durable(messages.encode_durable(SPOOL, 99)).up_to == 99
    with pytest.raises(MessageError, match="version 3"):
        messages.decode_durable(b'{"v":3,"spool":"0123456789abcdef","up_to":1}')
    with pytest.raises(MessageError, match="spool"):
        messages.decode_durable(b'{"v":1,"spool":"x","up_to":1}')


def test_events_with_unknown_type_or_no_id_are_refused() -> None:
    for bad in (Event(T0, "x", "party", None, {}), Event(T0, "", "flag", None, {})):
        with pytest.raises(MessageError):
            messages.decode_record("event", messages.encode_record(bad))


def test_topics_round_trip_and_refuse_the_rest() -> None:
    assert topics.parse_record(topics.record("home", "gw-1", "w-001", "epoch")) == RecordTopic(
        "home", "gw-1", "w-001", "epoch"
    )
    for bad in (
        topics.status("home", "gw-1"),
        topics.durable("home", "gw-1"),
        topics.command("home", "gw-1"),
        "tiltline/v2/home/gw-1/w-001/metric",
        "tiltline/v1/home/w-001/metric",
        "tiltline/v1/home/gw-1/status/metric",
        "tiltline/v1/home/command/w-001/metric",
        "tiltline/v1/home/gw-1/w-001/soup",
        "tiltline/v1/home/gw-1/W 1/metric",
        "tiltline/v1/home/gw-1/w-001/metric/more",
        "",
    ):
        with pytest.raises(TopicError):
            topics.parse_record(bad)
    assert topics.parse_status(topics.status("home", "gw-1")) == ("home", "gw-1")
    for bad in (topics.durable("home", "gw-1"), "tiltline/v1/home/W/status", "tiltline/v1/home/gw-1/w-001/status"):
        with pytest.raises(TopicError):
            topics.parse_status(bad)


def test_lines_leave_out_what_is_missing_and_type_what_is_there() -> None:
    assert line("home", "w-001", "clip-1", METRIC) == (
        "tilt,sensor=clip-1,site=home,wearer=w-001 anterior_tilt_deg=3.2,obliquity_deg=-0.5,tilt_uncertainty_deg=1.25,"
        f'posture="walking",posture_confidence=0.75,coverage=1.0,quality=0.5 {T0}'
    )
    assert line("home", "w-001", "clip-1", EPOCH) == (
        "epoch,sensor=clip-1,site=home,wearer=w-001 lying_s=60i,sitting_s=0i,standing_s=0i,walking_s=0i,running_s=0i,"
        f"stairs_s=0i,unknown_s=0i,not_worn_s=0i,coverage=1.0,wear=0.0 {T0}"
    )
    assert line("home", "w-001", "clip-1", DEVICE) == (
        f'device,sensor=clip-1,site=home,wearer=w-001 battery_percent=80.0,frames_received=12i,link="streaming" {T0}'
    )
    nan = Metric(T0, math.nan, math.inf, None, "walking", 0.75, 1.0, 0.5)
    assert "nan" not in line("h", "w", "s", nan)
    assert "inf" not in line("h", "w", "s", nan)


@pytest.mark.parametrize("source", ["", RETRO])
@pytest.mark.parametrize("record", [METRIC, EPOCH, EVENT, DEVICE], ids=["metric", "epoch", "event", "device"])
def test_a_line_has_the_tags_and_fields_that_the_dictionary_gives_its_measurement(record: Record, source: str) -> None:
    head, fields, _ = re.sub(r'"(\\.|[^"\\])*"', '""', line("home", "w-001", "clip-1", record, source)).split(" ")
    name, *tags = head.split(",")
    held = INFLUX[name]
    assert {tag.split("=")[0] for tag in tags} == set(held.tags)
    assert {field.split("=")[0] for field in fields.split(",")} <= {f.name for f in held.fields}
    assert {tag for of in INFLUX.values() for tag in of.tags} == set(TAGS)


def test_event_lines_escape_their_strings_and_carry_type_and_rule_as_tags() -> None:
    got = line("home", "w-001", "clip-1", EVENT)
    assert got.startswith("event,rule=tilt_dose,sensor=clip-1,site=home,type=flag,wearer=w-001 ")
    assert r'summary="He said \"up\", 5°\\"' in got
    assert r'data_json="{\"n\":[1,null],\"text\":\"He said' in got
    assert 'event_id="0f3a"' in got
    no_rule = line("home", "w-001", "clip-1", Event(T0, "id", "gap", None, {}))
    assert no_rule.startswith("event,sensor=clip-1,site=home,type=gap,wearer=w-001 ")


def test_numbers_in_a_sentence_are_written_as_people_do() -> None:
    """A night without samples is no 2.88e+06, and a limit has one decimal."""
    gap = Event(T0, "id", "gap", None, {"missing_samples": 2_880_000})
    assert summary(gap) == "Samples are missing: 2,880,000."
    start = Event(T0, "id", "episode_start", None, {"threshold_deg": 10.677})
    assert summary(start) == "Tilt rose above the threshold of 10.7°."


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_every_event_type_has_a_sentence_whatever_its_data(type_: str) -> None:
    for data in ({}, {"text": ""}, {"reason": 5, "threshold_deg": "x", "missing": True}, {"outcome": "refused"}):
        said = summary(Event(T0, "id", type_, None, data))
        assert said.endswith(".")
        assert "None" not in said
    assert summary(Event(T0, "id", type_, None, {"text": "Up."})) == "Up."
    assert len(summary(Event(T0, "id", type_, None, {"text": "x" * 999}))) == MAX_CHARS


@pytest.mark.parametrize("kind", ["pain", "note", "verdict"])
def test_notes_stay_on_the_gateway(kind: str) -> None:
    """Free text may name people: what goes out has null there, everything else as it was."""
    event = Event(5, "ab12", kind, None, {"note": 'Anna said "ouch"', "score": 3, "text": "Pain 3 of 10."})
    row = entry(event, "event")
    sent = without_note(row)
    assert messages.decode_record("event", sent.body) == replace(event, data={**event.data, "note": None})
    assert (sent.seq, sent.after, sent.floor) == (7, 6, 3)
    assert b"Anna" not in messages.encode_message(sent, "home", "gw-1", SPOOL)
    silent = replace(row, body=messages.encode_record(replace(event, data={"score": 3})))
    assert without_note(silent) is silent
