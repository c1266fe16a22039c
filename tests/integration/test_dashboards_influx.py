"""Variables and numbers on a real InfluxDB 1.6 with a day that has a hole of two hours: the hole stays a hole on every panel.

That every query is answered is held with the synthetic cohort (`test_dashboards_cohort.py`).
"""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.__main__ import generated
from processing.types import POSTURES, Epoch, Event
from tests.dashboards.support import cohort
from tests.dashboards.support.grafana import View, duration_ms, interpolate
from tests.dashboards.support.influx import Influx, QueryError, running_influx

pytestmark = [
    pytest.mark.servers,
    pytest.mark.xdist_group("dashboards_influx"),
    pytest.mark.skipif(shutil.which("influxd") is None, reason="influxd is not installed (Debian package influxdb)"),
]

DASHBOARDS: dict[str, dict[str, Any]] = {
    Path(name).stem: json.loads(text) for name, text in generated().items() if name.startswith("json/")
}
DAY_MS = 86_400_000
START_MS = cohort.DAY_START_S * 1000
HOLE_MS = (START_MS + cohort.HOLE_FROM_H * 3_600_000, START_MS + cohort.HOLE_TO_H * 3_600_000)
DAYS = {"tiltline-weeks": cohort.DAYS_BEFORE + 1}


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with running_influx(tmp_path_factory.mktemp("influx")) as server:
        server.write(cohort.lines())
        yield server


@pytest.fixture(scope="module")
def views(influx: Influx) -> dict[str, View]:
    """What a reader sees who opens each dashboard: the variables' queries answered, all or the first of them chosen."""
    return {uid: opened(influx, uid) for uid in DASHBOARDS}


def opened(influx: Influx, uid: str) -> View:
    to_ms = START_MS + DAY_MS
    chosen: dict[str, str | list[str]] = {}
    for variable in DASHBOARDS[uid]["templating"]["list"]:
        if variable["type"] == "textbox":
            chosen[variable["name"]] = variable["query"]
            continue
        view = View(to_ms - DAY_MS, to_ms - 1, chosen)
        series = influx.query(interpolate(variable["query"], view))
        values = sorted(row[1] for row in series[0]["values"])
        chosen[variable["name"]] = values if variable["multi"] else values[0]
    return View(to_ms - DAYS.get(uid, 1) * DAY_MS, to_ms - 1, chosen)


def answers(influx: Influx, view: View, panel: dict[str, Any]) -> list[list[dict[str, Any]]]:
    return [influx.query(interpolate(t["query"], view, panel.get("interval", ""))) for t in panel["targets"]]


def find(uid: str, title: str) -> dict[str, Any]:
    panel: dict[str, Any] = next(p for p in DASHBOARDS[uid]["panels"] if p["title"] == title)
    return panel


def test_variables_list_the_sites_and_wearers(views: dict[str, View]) -> None:
    everybody = [w.id for w in cohort.WEARERS]
    assert {uid: view.variables["site"] for uid, view in views.items()} == {uid: ["clinic", "home"] for uid in views}
    assert views["tiltline-cohort"].variables["wearer"] == everybody
    assert views["tiltline-day"].variables["wearer"] == everybody[0]


def test_the_wearers_offered_are_those_of_the_chosen_site(influx: Influx) -> None:
    variables = DASHBOARDS["tiltline-day"]["templating"]["list"]
    query = next(v["query"] for v in variables if v["name"] == "wearer")
    series = influx.query(interpolate(query, View(START_MS, START_MS + DAY_MS, {"site": ["clinic"]})))
    assert [row[1] for row in series[0]["values"]] == ["w-002", "w-003"]


def inside_hole(influx: Influx, view: View, panel: dict[str, Any]) -> list[list[Any]]:
    """Per query, the values of the buckets that lie wholly in the two hours without data."""
    bucket_ms = max(view.interval_ms(panel["interval"]), duration_ms(panel["interval"]))
    return [
        [
            value
            for s in series
            for row in s["values"]
            if HOLE_MS[0] <= row[0] and row[0] + bucket_ms <= HOLE_MS[1]
            for value in row[1:]
        ]
        for series in answers(influx, view, panel)
    ]


def test_the_hole_stays_a_hole(influx: Influx, views: dict[str, View]) -> None:
    lines = 0
    for uid in ("tiltline-cohort", "tiltline-day", "tiltline-operations"):
        for panel in DASHBOARDS[uid]["panels"]:
            if panel["type"] not in {"timeseries", "state-timeline"}:
                continue
            for values in inside_hole(influx, views[uid], panel):
                assert all(value is None for value in values), panel["title"]
                # A line is interrupted only where there is a row that says null; bars and points need none.
                if panel["fieldConfig"]["defaults"]["custom"].get("drawStyle", "line") == "line":
                    assert values, panel["title"]
                    lines += 1
    assert lines >= 10


def test_the_hole_check_notices_zeros(influx: Influx, views: dict[str, View]) -> None:
    panel = json.loads(json.dumps(find("tiltline-day", "Tilt, minute by minute")).replace("fill(null)", "fill(0)"))
    (values,) = inside_hole(influx, views["tiltline-day"], panel)
    assert values
    assert set(values) == {0}


def test_days_before_the_study_are_blank_not_zero(influx: Influx, views: dict[str, View]) -> None:
    early = View(START_MS - 28 * DAY_MS, START_MS + DAY_MS - 1, views["tiltline-weeks"].variables)
    # A stat is one total of the whole view and stands at its beginning.
    dated = [p for p in DASHBOARDS["tiltline-weeks"]["panels"] if p["type"] != "stat"]
    assert len(dated) >= 6
    for panel in dated:
        for series in answers(influx, early, panel):
            before = [row for s in series for row in s["values"] if row[0] < START_MS - cohort.DAYS_BEFORE * DAY_MS]
            assert all(value is None for row in before for value in row[1:]), panel["title"]


def test_numbers_equal_what_was_seeded(influx: Influx, views: dict[str, View]) -> None:
    """Computed once more from the records: means and sums ignore the hole, and nothing is counted twice."""
    first = cohort.WEARERS[0]
    day = cohort.records(first, 0)
    epochs = [r for r in day if isinstance(r, Epoch)]
    upright = [e for e in epochs if e.tilt_median_deg is not None]
    worn_s = sum(getattr(e, f"{p}_s") for e in epochs for p in POSTURES if p != "not_worn")

    def shown(title: str) -> float:
        ((series,),) = answers(influx, views["tiltline-day"], find("tiltline-day", title))
        value: float = series["values"][0][1]
        return value

    assert shown("Hours worn") == pytest.approx(worn_s / 3600)
    assert shown("Tilt on the feet") == pytest.approx(statistics.median(e.tilt_median_deg or 0 for e in upright))
    assert shown("Dose") == pytest.approx(sum(e.dose_deg_min or 0 for e in upright))
    for title, kind in (("Flags", "flag"), ("Prompts", "prompt"), ("Kept quiet", "suppressed")):
        assert shown(title) == sum(isinstance(r, Event) and r.type == kind for r in day)


def test_a_local_day_starts_at_the_wearers_midnight(influx: Influx, views: dict[str, View]) -> None:
    variables = {**views["tiltline-weeks"].variables, "timezone": "America/New_York"}
    view = View(START_MS - 2 * DAY_MS, START_MS + DAY_MS - 1, variables)
    ((series,),) = answers(influx, view, find("tiltline-weeks", "Hours worn per day"))
    assert {row[0] % DAY_MS for row in series["values"]} == {4 * 3_600_000}


def test_the_check_notices_a_query_that_cannot_run(influx: Influx) -> None:
    with pytest.raises(QueryError, match="error parsing query"):
        influx.query("SELECT mean(quality FROM tilt")
