"""The dashboards over the seeded cohort, on a real InfluxDB 1.6: every query and variable is answered, gaps stay gaps, and the
numbers equal what pandas makes of the exported records.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from dashboards.__main__ import generated
from dashboards.alerts import ALERTS, Alert
from processing.types import NS_PER_S, POSTURES
from sensor_gateway.cohort.cohort import SITE, CohortOptions, seed
from sensor_gateway.sinks.store import Store
from sensor_gateway.wire.line import line
from tests.dashboards.support.cohort import states
from tests.dashboards.support.grafana import View, interpolate
from tests.dashboards.support.influx import Influx, running_influx

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("influxd") is None, reason="influxd is not installed (Debian package influxdb)"),
]

UNTIL = datetime(2026, 9, 21, 19, 0, tzinfo=ZoneInfo("UTC"))
TO_MS = int(UNTIL.timestamp()) * 1000
DAY_MS = 86_400_000
DASHBOARDS: dict[str, dict[str, Any]] = {
    Path(name).stem: json.loads(text) for name, text in generated().items() if name.startswith("json/")
}
PANELS = [(uid, panel["title"]) for uid, dashboard in DASHBOARDS.items() for panel in dashboard["panels"]]
SLIPPED = "w-005"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    options = CohortOptions(tmp_path_factory.mktemp("cohort") / "data", UNTIL, 5, 10, 1, "UTC")
    seed(options, None, lambda _: None)
    found = Store.open(options.store_path, readonly=True)
    yield found
    found.close()


@pytest.fixture(scope="module")
def influx(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with running_influx(tmp_path_factory.mktemp("influx")) as server:
        for wearer in store.wearers():
            sensor = f"synthetic-{wearer.removeprefix('w-')}"
            records = (*store.events(wearer), *store.epochs(wearer), *store.metrics(wearer), *store.devices(wearer))
            server.write([line(SITE, wearer, sensor, record) for record in records])
        server.write(list(states((SITE,))))
        clock = (
            'type=clock event_id="c-1",summary="The sensor\'s clock was fitted anew."'  # a synthetic clip has no clock
        )
        server.write(
            [f"event,site={SITE},wearer=w-001,sensor=synthetic-001,{clock} {(TO_MS - DAY_MS // 2) * 1_000_000}"]
        )
        yield server


def opened(influx: Influx, uid: str) -> View:
    """The dashboard as it opens, on everybody or, for a single wearer, the one whose clip slipped today."""
    chosen: dict[str, str | list[str]] = {}
    for variable in DASHBOARDS[uid]["templating"]["list"]:
        if variable["type"] == "textbox":
            chosen[variable["name"]] = variable["query"]
            continue
        series = influx.query(interpolate(variable["query"], View(TO_MS - DAY_MS, TO_MS, chosen)))
        values = sorted(row[1] for row in series[0]["values"])
        assert values, variable["name"]
        chosen[variable["name"]] = values if variable["multi"] else SLIPPED
    days = {"tiltline-operations": 1, "tiltline-day": 3, "tiltline-weeks": 12, "tiltline-research": 12}
    return View(TO_MS - days.get(uid, 7) * DAY_MS, TO_MS, chosen)


@pytest.fixture(scope="module")
def views(influx: Influx) -> dict[str, View]:
    return {uid: opened(influx, uid) for uid in DASHBOARDS}


def panel_of(uid: str, title: str) -> dict[str, Any]:
    found: dict[str, Any] = next(p for p in DASHBOARDS[uid]["panels"] if p["title"] == title)
    return found


def asked(influx: Influx, views: dict[str, View], uid: str, title: str) -> list[list[dict[str, Any]]]:
    panel = panel_of(uid, title)
    return [influx.query(interpolate(t["query"], views[uid], panel.get("interval", ""))) for t in panel["targets"]]


def frame(store: Store, kind: str) -> pd.DataFrame:
    """What the store exports of a kind, in the range that the cohort's and the weeks' dashboards look at."""
    pages = [pd.DataFrame(page).assign(wearer=w) for w in store.wearers() for page in store.columns(kind, w)]
    found = pd.concat(pages, ignore_index=True)
    return found[found.t_utc_ns <= TO_MS * 1_000_000]


def since(found: pd.DataFrame, days: int) -> pd.DataFrame:
    return found[found.t_utc_ns >= (TO_MS - days * DAY_MS) * 1_000_000]


@pytest.mark.parametrize(("uid", "title"), PANELS, ids=[f"{uid}: {title}" for uid, title in PANELS])
def test_every_panel_has_an_answer(influx: Influx, views: dict[str, View], uid: str, title: str) -> None:
    for series in asked(influx, views, uid, title):
        assert any(value is not None for s in series for row in s["values"] for value in row[1:]), title


def test_every_annotation_has_marks(influx: Influx, views: dict[str, View]) -> None:
    names = set()
    for dashboard in DASHBOARDS.values():
        for annotation in dashboard["annotations"]["list"]:
            everybody = {**views["tiltline-cohort"].variables, "timezone": "UTC"}
            view = View(TO_MS - 10 * DAY_MS, TO_MS, everybody)
            (series,) = influx.query(interpolate(annotation["target"]["query"], view))
            assert all(row[series["columns"].index("summary")] for row in series["values"])
            names.add(annotation["name"])
    assert {"Flags", "Prompts", "Exercises and answers", "Pain and notes", "Alignment and mount"} <= names


def by_wearer(series: list[dict[str, Any]]) -> dict[str, Any]:
    return {s["tags"]["wearer"]: s["values"][0][1] for s in series}


def test_the_cohorts_table_equals_pandas(influx: Influx, views: dict[str, View], store: Store) -> None:
    columns = {}
    for answer in asked(influx, views, "tiltline-cohort", "Wearers"):
        columns[answer[0]["columns"][1]] = by_wearer(answer)
    epochs, events = since(frame(store, "epoch"), 7), since(frame(store, "event"), 7)
    worn = epochs.groupby("wearer")[[f"{p}_s" for p in POSTURES if p != "not_worn"]].sum().sum(axis=1) / 3600
    assert columns["Hours worn"] == pytest.approx(worn.to_dict())
    medians = epochs.dropna(subset=["tilt_median_deg"]).groupby("wearer").tilt_median_deg.median()
    assert columns["Median tilt"] == pytest.approx(medians.to_dict())
    pairs = {
        "Flags": "flag",
        "Prompts": "prompt",
        "Answered": "answer",
        "Clip moved": "mount",
        "Kept quiet": "suppressed",
    }
    for shown, type_ in (*pairs.items(), ("Exercises", "exercise")):
        assert columns[shown] == events[events.type == type_].groupby("wearer").size().to_dict(), shown
    pain = events[events.type == "pain"].sort_values("t_utc_ns")
    scores = pain.assign(score=pain.data.map(lambda text: json.loads(text)["score"])).groupby("wearer").score
    assert columns["Pain now"] == scores.last().to_dict()
    assert columns["Pain against mean"] == pytest.approx((scores.last() - scores.mean()).to_dict())


def test_precision_and_responses_equal_pandas(influx: Influx, views: dict[str, View], store: Store) -> None:
    events = frame(store, "event")
    verdicts = since(events[events.type == "verdict"], 7)
    useful = verdicts.assign(useful=verdicts.data.map(lambda text: json.loads(text)["verdict"] == "useful"))
    (by_rule,) = asked(influx, views, "tiltline-review", "Precision by rule")
    shown = {s["tags"]["rule"]: s["values"][0][1:3] for s in by_rule}
    expected = useful.groupby("rule").useful.agg(["mean", "size"])
    assert {rule: tuple(row) for rule, row in shown.items()} == {
        rule: (pytest.approx(row["mean"]), row["size"]) for rule, row in expected.iterrows()
    }
    told = events[(events.type == "response") & (events.wearer == SLIPPED)]
    told = told.assign(**{k: told.data.map(lambda text, k=k: json.loads(text)[k]) for k in ("group", "delta_deg")})
    compared = told.dropna(subset=["delta_deg"]).groupby("group").delta_deg.median()
    for title, group in (("Change after exercise", "exercise"), ("Change without a prompt", "control")):
        ((series,),) = asked(influx, views, "tiltline-weeks", title)
        assert series["values"][0][1] == pytest.approx(compared[group])


def test_a_day_without_data_is_no_cell_and_no_zero(influx: Influx, views: dict[str, View], store: Store) -> None:
    epochs = frame(store, "epoch")
    got = epochs.assign(day=epochs.t_utc_ns // (86_400 * NS_PER_S), s=epochs[[f"{p}_s" for p in POSTURES]].sum(axis=1))
    per_day = got[got.coverage > 0].groupby(["wearer", "day"]).s.sum() / 3600
    (series,) = asked(influx, views, "tiltline-research", "Hours received per day")
    shown = {
        (s["tags"]["wearer"], t_ms // DAY_MS): value for s in series for t_ms, value in s["values"] if value is not None
    }
    empty = {key for key, value in shown.items() if value == 0}
    assert {key: value for key, value in shown.items() if value} == pytest.approx(per_day.to_dict())
    # A day told as empty minutes only is shown as zero hours received: it was asked for and nothing came.
    assert all((got[(got.wearer == w) & (got.day == d)].coverage == 0).all() for w, d in empty)
    before = [v for s in series for t_ms, v in s["values"] if t_ms < TO_MS - 11 * DAY_MS]
    assert before
    assert all(value is None for value in before)


def firing(influx: Influx, alert: Alert) -> set[str]:
    """The rule as Grafana evaluates it at the end of the cohort: query, last value, limit."""
    series = influx.query(interpolate(alert.query, View(TO_MS - alert.window_s * 1000, TO_MS, {})))
    last = {s["tags"]["wearer"]: s["values"][-1][1] for s in series}
    return {
        w for w, v in last.items() if v is not None and (v < alert.limit if alert.test == "lt" else v > alert.limit)
    }


def test_each_alert_fires_for_whom_pandas_says(influx: Influx, store: Store) -> None:
    found = {alert.uid: firing(influx, alert) for alert in ALERTS}
    epochs, events, devices = frame(store, "epoch"), frame(store, "event"), frame(store, "device")
    today = epochs[epochs.t_utc_ns >= TO_MS // DAY_MS * DAY_MS * 1_000_000]
    worn = today.groupby("wearer")[[f"{p}_s" for p in POSTURES if p != "not_worn"]].sum().sum(axis=1) / 3600
    assert found["tiltline-not-wearing"] == {w for w in store.wearers() if worn.get(w, 0) < 2}
    assert found["tiltline-data-stale"] == set()
    pain = events[events.type == "pain"].sort_values("t_utc_ns")
    scores = pain.assign(score=pain.data.map(lambda text: json.loads(text)["score"])).groupby("wearer").score
    rise = scores.last() - scores.mean()
    assert found["tiltline-pain-rising"] == set(rise[rise > 2].index)
    charge = devices.sort_values("t_utc_ns").groupby("wearer").battery_percent.last()
    assert found["tiltline-battery-low"] == set(charge[charge < 20].index)


def test_an_alert_fires_once_its_case_comes(influx: Influx) -> None:
    at_ns = TO_MS * 1_000_000 - 60 * NS_PER_S
    influx.write(
        [
            f'event,site=demo,wearer=w-900,sensor=s,type=pain pain={score},summary="Pain" {at_ns - (5 - i) * NS_PER_S}'
            for i, score in enumerate((1.0, 1.0, 2.0, 8.0))
        ]
        + [f"device,site=demo,wearer=w-900,sensor=s battery_percent=7 {at_ns}"]
        + [f"epoch,site=demo,wearer=w-900,sensor=s coverage=1,sitting_s=60i {at_ns - 5 * 86_400 * NS_PER_S}"]
    )
    rules = {alert.uid: firing(influx, alert) for alert in ALERTS}
    assert all("w-900" in found for found in rules.values()), rules
