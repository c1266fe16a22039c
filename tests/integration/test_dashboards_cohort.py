"""The dashboards over the seeded cohort, on a real InfluxDB 1.6: every query and variable is answered, gaps stay gaps, and the
numbers equal what pandas makes of the files that `tiltline export` wrote.
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
from dashboards.therapist.cohort import NEEDS, Need
from processing.types import NS_PER_S, POSTURES
from sensor_gateway.cli import main
from sensor_gateway.cohort.cohort import SITE, CohortOptions, seed
from sensor_gateway.sinks.store import Store
from sensor_gateway.wire.line import line
from tests.dashboards.support.cohort import states
from tests.dashboards.support.grafana import View, interpolate
from tests.dashboards.support.influx import Influx, running_influx

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.xdist_group("dashboards_cohort"),
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


@pytest.fixture(scope="module")
def tables(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """What a researcher has: the Parquet files of `tiltline export`, up to the instant the dashboards look back from."""
    folder = tmp_path_factory.mktemp("export")
    names = ("metrics", "epochs", "events", "devices")
    arguments = ["--store", str(store.path), "--kind", ",".join(names), "--out", str(folder)]
    assert main(["export", *arguments]) == 0
    read = {name: pd.read_parquet(folder / f"{name}.parquet").sort_values("t_utc_ns") for name in names}
    return {name: found[found.t_utc_ns <= TO_MS * 1_000_000] for name, found in read.items()}


def of_events(tables: dict[str, pd.DataFrame], type_: str, days: int | None = None) -> pd.DataFrame:
    """Events of a type, with what their ``data`` say as columns."""
    found = tables["events"]
    found = found[found.type == type_] if days is None else since(found[found.type == type_], days)
    facts = pd.DataFrame([json.loads(text) for text in found.data], index=found.index)
    return found.join(facts.drop(columns=found.columns, errors="ignore"))


def worn_h(epochs: pd.DataFrame) -> pd.Series:
    return epochs.groupby("wearer")[[f"{p}_s" for p in POSTURES if p != "not_worn"]].sum().sum(axis=1) / 3600


def since(found: pd.DataFrame, days: int) -> pd.DataFrame:
    return found[found.t_utc_ns >= (TO_MS - days * DAY_MS) * 1_000_000]


@pytest.mark.parametrize(("uid", "title"), PANELS, ids=[f"{uid}: {title}" for uid, title in PANELS])
def test_every_panel_has_an_answer(influx: Influx, views: dict[str, View], uid: str, title: str) -> None:
    for series in asked(influx, views, uid, title):
        assert any(value is not None for s in series for row in s["values"] for value in row[1:]), title


def test_each_of_several_bridges_has_a_row_and_a_line(influx: Influx, views: dict[str, View]) -> None:
    (rows,) = asked(influx, views, "tiltline-operations", "Bridges, latest state")
    waiting = {s["tags"]["bridge"]: s["values"][0][s["columns"].index("Queued")] for s in rows}
    assert waiting == {"bridge-1": 7, "bridge-2": 0}
    (lines,) = asked(influx, views, "tiltline-operations", "Records that wait at the bridges")
    assert [s["tags"]["bridge"] for s in lines] == ["bridge-1", "bridge-2"]


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


def column(answer: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Of a table grouped by wearer: one column."""
    return {s["tags"]["wearer"]: s["values"][0][s["columns"].index(name)] for s in answer}


def test_the_cohorts_table_equals_pandas(
    influx: Influx, views: dict[str, View], tables: dict[str, pd.DataFrame]
) -> None:
    answers = {a[0]["columns"][1]: a for a in asked(influx, views, "tiltline-cohort", "Wearers")}
    shown = {name: column(answer, name) for name, answer in answers.items()}
    assert shown["Hours worn"] == pytest.approx(worn_h(since(tables["epochs"], 7)).to_dict())
    for name, type_ in (("Flags", "flag"), ("Clip moved", "mount")):
        assert shown[name] == of_events(tables, type_, 7).groupby("wearer").size().to_dict(), name
    asked_for = of_events(tables, "prompt", 7).groupby("wearer").size()
    unheard = asked_for.sub(of_events(tables, "answer", 7).groupby("wearer").size(), fill_value=0)
    assert shown["Unanswered"] == unheard.to_dict()
    scores = of_events(tables, "pain", 7).groupby("wearer").score
    assert shown["Pain now"] == scores.last().to_dict()
    assert shown["Pain rise"] == pytest.approx((scores.last() - scores.mean()).to_dict())
    sure = since(tables["metrics"], 7).dropna(subset=["tilt_uncertainty_deg"]).groupby("wearer").tilt_uncertainty_deg
    assert shown["Sure within"] == sure.last().to_dict()
    charge = since(tables["devices"], 7).groupby("wearer").battery_percent.last()
    assert shown["Battery"] == pytest.approx(charge.to_dict())
    newest = since(tables["epochs"], 7).query("coverage > 0").groupby("wearer").t_utc_ns.max()
    assert column(answers["Last minute"], "time") == (newest // 1_000_000).to_dict()
    reasons = {need.name: column(answers[need.name], need.reason) for need in NEEDS}
    assert reasons == {
        need.name: {w: int((v < need.limit) if need.below else (v >= need.limit)) for w, v in shown[need.name].items()}
        for need in NEEDS
    }
    assert reasons["Sure within"][SLIPPED] == 1
    assert {flag for found in reasons.values() for flag in found.values()} == {0, 1}


@pytest.mark.parametrize("below", [False, True])
def test_a_reason_begins_exactly_at_its_limit(influx: Influx, views: dict[str, View], below: bool) -> None:
    at_ms = TO_MS - 40 * DAY_MS  # long before what the other tests look at
    charges = (-3.0, 0.0, 19.9, 20.0, 20.1, 95.0)
    influx.write(
        [f"device,site=x,wearer=w-{i},sensor=s battery_percent={c} {at_ms * 1_000_000}" for i, c in enumerate(charges)]
    )
    one = next(need for need in NEEDS if need.name == "Battery")
    need = Need(one.name, one.value, one.source, one.limit, one.color, below)
    view = View(at_ms - DAY_MS, at_ms, {"site": ["x"], "wearer": [f"w-{i}" for i in range(len(charges))]})
    found = column(influx.query(interpolate(need.query().text, view)), need.reason)
    assert list(found.values()) == [int((c < 20) == below) for c in charges]


def test_the_maps_of_pain_and_tilt_equal_pandas(
    influx: Influx, views: dict[str, View], tables: dict[str, pd.DataFrame]
) -> None:
    def cells(title: str) -> dict[tuple[str, int], float]:
        (series,) = asked(influx, views, "tiltline-cohort", title)
        return {
            (s["tags"]["wearer"], t_ms // DAY_MS): value
            for s in series
            for t_ms, value in s["values"]
            if value is not None
        }

    pain = of_events(tables, "pain", 7)
    expected = pain.assign(day=pain.t_utc_ns // (86_400 * NS_PER_S)).groupby(["wearer", "day"]).score.mean()
    assert cells("Pain per day") == pytest.approx(expected.to_dict())
    told = of_events(tables, "baseline", 7)
    standing = pd.DataFrame([p.get("standing") or {} for p in told.postures], index=told.index)
    change = standing.day_median_deg - standing.median_deg
    days = told.assign(change=change, day=told.t_utc_ns // (86_400 * NS_PER_S)).dropna(subset=["change"])
    assert cells("Standing tilt against the usual") == pytest.approx(days.set_index(["wearer", "day"]).change.to_dict())


def test_precision_and_responses_equal_pandas(
    influx: Influx, views: dict[str, View], tables: dict[str, pd.DataFrame]
) -> None:
    verdicts = of_events(tables, "verdict", 7)
    useful = verdicts.assign(useful=verdicts.verdict == "useful")
    (by_rule,) = asked(influx, views, "tiltline-review", "Precision by rule")
    shown = {s["tags"]["rule"]: s["values"][0][1:3] for s in by_rule}
    expected = useful.groupby("rule").useful.agg(["mean", "size"])
    assert {rule: tuple(row) for rule, row in shown.items()} == {
        rule: (pytest.approx(row["mean"]), row["size"]) for rule, row in expected.iterrows()
    }
    told = of_events(tables, "response")
    told = told[told.wearer == SLIPPED].dropna(subset=["delta_deg"])
    compared = told.groupby("group").delta_deg.median()
    for title, group in (("After exercise", "exercise"), ("Without a prompt", "control")):
        ((series,),) = asked(influx, views, "tiltline-weeks", title)
        assert series["values"][0][1] == pytest.approx(compared[group])


def test_a_day_on_the_feet_equals_pandas(
    influx: Influx, views: dict[str, View], tables: dict[str, pd.DataFrame]
) -> None:
    epochs = tables["epochs"].query("wearer == @SLIPPED and sitting_s == 0 and lying_s == 0")
    epochs = epochs.dropna(subset=["tilt_median_deg"])
    per_day = epochs.assign(day=epochs.t_utc_ns // (86_400 * NS_PER_S)).groupby("day").tilt_median_deg.median()
    ((series,),) = asked(influx, views, "tiltline-weeks", "Tilt on the feet, per day")
    middle = series["columns"].index("Median")
    shown = {row[0] // DAY_MS: row[middle] for row in series["values"] if row[middle] is not None}
    assert shown == pytest.approx(per_day.to_dict())


@pytest.mark.parametrize(("uid", "title"), [("research", "Hours received per day"), ("cohort", "Hours worn per day")])
def test_a_day_without_data_is_no_cell_and_no_zero(
    influx: Influx, views: dict[str, View], tables: dict[str, pd.DataFrame], uid: str, title: str
) -> None:
    epochs = tables["epochs"] if uid == "research" else since(tables["epochs"], 7)
    worn = [f"{p}_s" for p in POSTURES if uid == "research" or p != "not_worn"]
    got = epochs.assign(day=epochs.t_utc_ns // (86_400 * NS_PER_S), s=epochs[worn].sum(axis=1))
    per_day = got[got.coverage > 0].groupby(["wearer", "day"]).s.sum() / 3600
    (series,) = asked(influx, views, f"tiltline-{uid}", title)
    cells = {
        (s["tags"]["wearer"], t_ms // DAY_MS): value for s in series for t_ms, value in s["values"] if value is not None
    }
    assert cells == pytest.approx(per_day.to_dict())  # no cell where a day was told as empty minutes only
    days = set(got.groupby(["wearer", "day"]).groups)
    assert uid != "research" or days - set(cells), "the cohort has a day of empty minutes, or nothing was tried here"


def test_weeks_without_data_have_no_bar_and_no_point(
    influx: Influx, views: dict[str, View], tables: dict[str, pd.DataFrame]
) -> None:
    """A day told as empty minutes only, for whoever has one, in every panel of the weeks that is made of minutes."""
    epochs = tables["epochs"].assign(day=lambda t: t.t_utc_ns // (86_400 * NS_PER_S))
    received = epochs.groupby(["wearer", "day"]).coverage.max()
    wearer, day = received[received == 0].index[0]
    view = View(views["tiltline-weeks"].from_ms, TO_MS, {**views["tiltline-weeks"].variables, "wearer": wearer})
    looked = 0
    for panel in DASHBOARDS["tiltline-weeks"]["panels"]:
        for target in panel["targets"]:
            if '"epoch"' not in target["query"] or "time(" not in target["query"]:
                continue
            for series in influx.query(interpolate(target["query"], view, panel.get("interval", ""))):
                on_it = [value for row in series["values"] if row[0] // DAY_MS == day for value in row[1:]]
                assert all(value is None for value in on_it), panel["title"]
                looked += 1
    assert looked >= 5


def firing(influx: Influx, alert: Alert) -> set[str]:
    """The rule as Grafana evaluates it at the end of the cohort: query, last value, limit."""
    series = influx.query(interpolate(alert.query, View(TO_MS - alert.window_s * 1000, TO_MS, {})))
    last = {s["tags"]["wearer"]: s["values"][-1][1] for s in series}
    return {
        w for w, v in last.items() if v is not None and (v < alert.limit if alert.test == "lt" else v > alert.limit)
    }


def test_each_alert_fires_for_whom_pandas_says(influx: Influx, tables: dict[str, pd.DataFrame]) -> None:
    found = {alert.uid: firing(influx, alert) for alert in ALERTS}
    epochs = tables["epochs"]
    worn = worn_h(epochs[epochs.t_utc_ns >= TO_MS // DAY_MS * DAY_MS * 1_000_000])
    assert found["tiltline-not-wearing"] == {w for w in set(epochs.wearer) if worn.get(w, 0) < 2}
    assert found["tiltline-data-stale"] == set()
    scores = of_events(tables, "pain").groupby("wearer").score
    rise = scores.last() - scores.mean()
    assert found["tiltline-pain-rising"] == set(rise[rise > 2].index)
    charge = since(tables["devices"], 1).groupby("wearer").battery_percent.last()
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
