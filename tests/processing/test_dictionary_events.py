"""What lies in events' data is in the dictionary: every type, from the rules, the coach and the core, key by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from processing.alignment.mounts import SlipNote
from processing.coaching.controls import DecideProposal, LogPain
from processing.dictionary import EVENT_DATA, EVENT_TYPES, Field
from processing.gaps import Gap
from processing.notices import Notices
from processing.orientation.calibration import Correction
from processing.pipeline import DeviceStatus
from processing.types import NS_PER_S, Event
from processing.wearing import EVENT_OF
from sensor_gateway.cohort.cohort import CohortOptions, seed
from sensor_gateway.sinks.store import Store
from tests.processing import test_alignment_capture, test_coach, test_coach_pipeline, test_timebase
from tests.processing.alignment_chain import T0_NS
from tests.processing.clock_sim import Sensor, stream
from tests.processing.rules_sim import engine_of
from tests.processing.test_alignment_capture import USUAL
from tests.processing.test_rules_asymmetry import STUDY, day
from tests.processing.test_streaming import NEUTRAL, SYNTHETIC, batches, pipeline

pytestmark = pytest.mark.slow  # the cohort

KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "int64": (int,),
    "float64": (int, float),
    "bool": (bool,),
    "json": (dict, list),
}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Mapping[str, Any]]]:
    """Type and data of events of every type, as the chain's own parts make them."""
    notices = Notices("clip-1", "0" * 16)
    notices.gaps([Gap(T0_NS, T0_NS + 2 * NS_PER_S, 200)])
    notices.wear(T0_NS, worn=False)
    notices.wear(T0_NS + NS_PER_S, worn=True)
    found = [*the_cohort(tmp_path_factory.mktemp("cohort")), *coached(), *test_coach_pipeline.run(restarts=False)[1]]
    found += [*engine_of(STUDY).update_strides([day(0, 9.0), day(1, 9.0)]), *link_alarm(), *notices.until(None)]
    found += test_alignment_capture.run(test_alignment_capture.set_up_day(), [], restart=False)[1]
    made = [(e.type, e.data) for e in found]
    made += [("clock", {"kind": note.kind, **note.data}) for note in clock_notes()]
    made += [(EVENT_OF[note.kind], note.data()) for note in mounts()]
    return [*made, ("calibration", Correction(T0_NS, (0.1, 0, 0), (0, 0, 0), 0.01, 4, 60, 1.1).data())]


def the_cohort(folder: Path) -> list[Event]:
    """Rules and coach over twelve days of two synthetic wearers: what a first export holds."""
    seed(CohortOptions(folder / "data", datetime(2026, 10, 27, 18, tzinfo=UTC), 2, 12), None, lambda _: None)
    store = Store.open(folder / "data/store.db", readonly=True)
    found = [event for wearer in store.wearers() for event in store.events(wearer)]
    store.close()
    return found


def coached() -> list[Event]:
    """A harder step proposed, an easier one, and a decision."""
    coach = test_coach.coach_of(test_coach.study())
    found = test_coach.train(coach, range(0, 16, 2))
    for n in (16, 17):
        found += coach.control(LogPain(6, "stairs"), test_coach.at(n))
    return [*found, *coach.control(DecideProposal(found[-1].event_id, True, "pt-1"), test_coach.at(18))]


def link_alarm() -> list[Event]:
    p, (first, _) = pipeline(50.0, NEUTRAL), batches(SYNTHETIC, [3600])
    p.update([first])
    records = p.control(DeviceStatus(link="lost", alarm="Look after the clip."), first.rx_utc_ns).records
    return [r for r in records if isinstance(r, Event)]


def clock_notes() -> list[test_timebase.ClockNote]:
    restarted = stream(0, 60) + stream(60, 60, Sensor(boot_s=60.0))
    moved = [replace(b, rx_utc_ns=b.rx_utc_ns + 3 * NS_PER_S) for b in stream(0, 60).batches[300:]]
    stepped = stream(0, 60).batches[:300] + moved
    twice = [b for b in stream(0, 20).batches for _ in range(2)]
    return [note for s in (restarted.batches, stepped, twice) for note in test_timebase.run(s)[1]]


def mounts() -> list[SlipNote]:
    new = SlipNote("new_mount", "slip", T0_NS, T0_NS, T0_NS, USUAL, 12.0, -30.0, "Walk for a minute.")
    again = SlipNote("realigned", "walk", T0_NS, T0_NS, T0_NS, USUAL, 1.0, None)
    return [new, again, SlipNote("refused", "unclear_walk", T0_NS, T0_NS, T0_NS, None)]


def wrong(fields: Iterable[Field], data: Mapping[str, Any]) -> Iterable[str]:
    """What in an event's data is not as the dictionary says."""
    known = {f.name: f for f in fields}
    yield from (f"{key} is not in the dictionary" for key in data.keys() - known.keys())
    for key, f in known.items():
        value = data.get(key)
        if value is None:
            if not f.null_means:
                yield f"{key} is missing"
        elif not isinstance(value, KINDS[f.type]) or isinstance(value, bool) != (f.type == "bool"):
            yield f"{key} is {type(value).__name__}"
        elif (f.low is not None and value < f.low) or (f.high is not None and value > f.high):
            yield f"{key} is {value}"
        elif f.words and value not in f.words:
            yield f"{key} is {value!r}"


def test_every_key_of_every_type_is_in_the_dictionary(events: list[tuple[str, Mapping[str, Any]]]) -> None:
    assert {type_ for type_, _ in events} == set(EVENT_TYPES) == set(EVENT_DATA)
    assert {f"{type_}: {what}" for type_, data in events for what in wrong(EVENT_DATA[type_], data)} == set()


def test_every_key_of_the_dictionary_is_met(events: list[tuple[str, Mapping[str, Any]]]) -> None:
    met = {(type_, key) for type_, data in events for key in data}
    assert {(type_, f.name) for type_, fields in EVENT_DATA.items() for f in fields} == met


def test_keys_within_are_named_where_their_object_is_explained(events: list[tuple[str, Mapping[str, Any]]]) -> None:
    """Objects whose keys are columns of a researcher's table; a rule's settings and state go by the names of the study file."""
    for type_, key in (("response", "before"), ("response", "window_before"), ("flag", "epochs"), ("flag", "window")):
        (meaning,) = (f.meaning for f in EVENT_DATA[type_] if f.name == key)
        within = set().union(*(data[key] for kind, data in events if kind == type_ and key in data))
        assert within
        assert {name for name in within if f"`{name}`" not in meaning} == set()
    for type_, key in (("baseline", "postures"), ("flag", "thresholds"), ("response", "so_far")):
        (meaning,) = (f.meaning for f in EVENT_DATA[type_] if f.name == key)
        within = set().union(*(one for kind, data in events if kind == type_ for one in data.get(key, {}).values()))
        assert within
        assert {name for name in within if f"`{name}`" not in meaning} == set()
