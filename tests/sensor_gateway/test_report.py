"""Day and week reports: their numbers against a second computation, and what a document must never do."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pandas as pd
import pytest

from processing.rules.explain import degrees
from processing.types import NS_PER_S, POSTURES, Event
from sensor_gateway.cli import main
from sensor_gateway.cohort.minutes import nothing
from sensor_gateway.config import Sensor, Settings, Site
from sensor_gateway.report.charts import apart
from sensor_gateway.report.figures import day_figures, week_figures
from sensor_gateway.report.page import content_policy, day_page, week_page
from sensor_gateway.report.words import catalogue, dose, duration, from_neutral
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.web.app import create_app
from sensor_gateway.web.trends import day_row
from sensor_gateway.web.views import day_view
from tests.sensor_gateway.web.test_api import SetClock, run
from tests.sensor_gateway.web.web_day import SENSOR, WEARER, seed, utc_ns

DAY = date(2026, 3, 10)
BERLIN = ZoneInfo("Europe/Berlin")
NASTY = 'after <script>alert(1)</script> & "lifting" {braces}'


def _event(at: str, type_: str, **data: object) -> Event:
    return Event(utc_ns(at), f"{type_}-{at}", type_, None, data)  # type: ignore[arg-type]  # plain test data


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scripted day with a log, and one more two days later."""
    path = tmp_path_factory.mktemp("report") / "store.db"
    seed(path, "2026-03-10")
    seed(path, "2026-03-12")
    store = Store.open(path)
    prompt = next(e for e in store.events(WEARER) if e.type == "prompt")
    flag = prompt.data["flag_event_id"]
    common = {"prompt_event_id": prompt.event_id, "flag_event_id": flag, "exercise": prompt.data["exercise"]}
    store.write(
        Owned(WEARER, SENSOR, e)
        for e in (
            _event("13:10", "answer", answer="done", **common),
            _event("13:11", "exercise", side="both", sets=1, reps=8, **common),
            _event("14:00", "exercise", exercise="hip_hinge", side="left", sets=1, reps=8),
            _event("14:30", "pain", score=3, note=NASTY),
            _event("17:00", "pain", score=5),
            Event(
                utc_ns("13:11"),
                "resp",
                "response",
                "tilt_dose",
                {"flag_event_id": flag, "group": "exercise", "outcome": "changed", "delta_deg": -2.0, "se_deg": 0.5},
            ),
        )
    )
    store.close()
    return path


def test_the_numbers_are_the_stores(path: Path) -> None:
    """Computed a second time from the bare tables with pandas."""
    store = Store.open(path, readonly=True)
    day = day_figures(store, WEARER, DAY, BERLIN)
    store.close()
    db = sqlite3.connect(path)
    t0, t1 = (pd.Timestamp(f"2026-03-{d}", tz="Europe/Berlin").value for d in (10, 11))
    minutes = pd.read_sql(f"select * from epoch where t_utc_ns >= {t0} and t_utc_ns < {t1} order by t_utc_ns", db)
    seconds = pd.read_sql(f"select * from metric where t_utc_ns >= {t0} and t_utc_ns < {t1}", db)
    events = pd.read_sql(f"select * from event where t_utc_ns >= {t0} and t_utc_ns < {t1}", db)
    db.close()
    columns = [f"{p}_s" for p in POSTURES]
    assert day.worn_s == minutes[columns].drop(columns="not_worn_s").sum().sum()
    assert dict(day.posture_s) == {c[:-2]: s for c in columns if (s := minutes[c].sum())}
    upright = minutes[minutes[["standing_s", "walking_s", "running_s", "stairs_s"]].sum(axis=1) > 30].tilt_median_deg
    assert day.upright_median_deg == pytest.approx(upright.median())
    mostly = minutes[columns].idxmax(axis=1).str[:-2]
    for tilt in day.tilt:
        mine = minutes.tilt_median_deg[mostly == tilt.posture].dropna()
        assert (tilt.minutes, tilt.median_deg) == (len(mine), pytest.approx(mine.median()))
        assert (tilt.p10_deg, tilt.p90_deg) == pytest.approx((mine.quantile(0.1), mine.quantile(0.9)))
    assert day.uncertainty_deg == pytest.approx(seconds.tilt_uncertainty_deg.median())
    rested = minutes[minutes.shifts.notna()]
    rate = rested.shifts.sum() * 900 / (rested.sitting_s + rested.standing_s).sum()
    assert day.shifts_per_15_min == pytest.approx(rate)
    assert 5.0 < rate < 10.0
    assert len(day.flags) == (events.type == "flag").sum() > 0
    assert day.prompts == (events.type == "prompt").sum() > 0
    assert day.done == 2  # the answered prompt and its log entry are one exercise
    present = minutes.t_utc_ns[minutes[columns].sum(axis=1) > 0].to_numpy()
    holes = np.diff(present) // NS_PER_S // 60 - 1
    assert [(b - a) // NS_PER_S // 60 for a, b in day.gaps] == [h for h in holes if h >= 5] != []


def test_the_page_shows_the_numbers(path: Path) -> None:
    store = Store.open(path, readonly=True)
    day = day_figures(store, WEARER, DAY, BERLIN)
    page = day_page(day, BERLIN, utc_ns("20:00"))
    store.close()
    text = re.sub(r"<[^>]+>", " ", page)
    assert from_neutral(day.upright_median_deg or 0.0) in text
    assert all(degrees(t.median_deg) in text for t in day.tilt)
    assert f"{len(day.flags)} " in text
    assert "Pain 3 of 10" in text
    assert f"shifted about {day.shifts_per_15_min:.1f} times in a quarter of an hour" in text
    assert "3–5" in text
    assert "−2.0° (95 % range −3.0° to −1.0°)" in text


def test_what_was_typed_in_stays_text(path: Path) -> None:
    store = Store.open(path, readonly=True)
    page = day_page(day_figures(store, WEARER, DAY, BERLIN), BERLIN, utc_ns("20:00"), name="<i>Me</i> & co")
    store.close()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;lifting&quot; {braces}" in page
    assert "&lt;i&gt;Me&lt;/i&gt; &amp; co" in page


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {k for k, _ in attrs}
        self.found += [tag] if tag in ("script", "link", "img", "iframe", "object") or names & {"src", "href"} else []
        self.found += [f"{tag} {name}" for name in names if name == "style" or name.startswith("on")]


def test_a_report_needs_nothing_else_and_holds_no_script(path: Path) -> None:
    store = Store.open(path, readonly=True)
    pages = [
        day_page(day_figures(store, WEARER, DAY, BERLIN), BERLIN, utc_ns("20:00")),
        week_page(week_figures(store, WEARER, DAY, BERLIN), BERLIN, utc_ns("20:00")),
    ]
    store.close()
    for page in pages:
        links = _Links()
        links.feed(page)
        assert links.found == []
        assert "url(" not in page
        assert "@import" not in page
    assert "script-src" not in content_policy()
    assert content_policy().startswith("default-src 'none'")


def test_days_without_data_are_empty_and_not_zero(path: Path) -> None:
    store = Store.open(path, readonly=True)
    week = week_figures(store, WEARER, DAY, BERLIN)
    empty = day_page(day_figures(store, WEARER, date(2026, 3, 11), BERLIN), BERLIN, utc_ns("20:00"))
    store.close()
    page = week_page(week, BERLIN, utc_ns("20:00", "2026-03-20"))
    assert [d.day.isoformat() for d in week.days if d.epochs] == ["2026-03-10", "2026-03-12"]
    assert week.worn_days == 2
    assert page.count(">no data<") == 5
    row = re.search(r"<tr><td>Wed 11</td>(.*?)</tr>", page)
    assert row is not None
    assert set(re.findall(r"<td>(.*?)</td>", row.group(1))) == {"–"}
    assert catalogue()["none"] in empty


def test_of_a_week_that_is_not_over_only_the_days_so_far_count(path: Path) -> None:
    store = Store.open(path, readonly=True)
    week, late = week_figures(store, WEARER, DAY, BERLIN), week_figures(store, WEARER, date(2026, 4, 1), BERLIN)
    store.close()
    page = week_page(week, BERLIN, utc_ns("20:00", "2026-03-12"))
    assert "days worn: 2 of 4" in page
    assert page.count(">no data<") == 2  # Monday and Wednesday; what is to come is not missing
    assert [f"<td>{d}</td>" in page for d in ("Thu 12", "Fri 13")] == [True, False]
    assert catalogue()["week.lead_so_far_none"] in week_page(late, BERLIN, utc_ns("20:00", "2026-03-31"))


def test_a_day_with_entries_alone_shows_them_and_no_zeros(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db")
    store.write([Owned(WEARER, SENSOR, _event("14:30", "pain", score=3))])
    page = day_page(day_figures(store, WEARER, DAY, BERLIN), BERLIN, utc_ns("20:00"))
    store.close()
    assert catalogue()["today.none"] in page
    assert "Pain 3 of 10" in page
    assert "<svg" not in page
    assert not re.search(r">0( s)?<", page)


def test_what_happened_to_the_clip_is_told(path: Path, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db")
    seed(store.path, "2026-03-10")
    told = [
        _event("10:00", "mount", kind="new_mount", reason="slip"),
        _event("10:20", "alignment", kind="realigned", reason="walk"),
        _event("11:00", "alignment", kind="refused", reason="unclear_walk"),
        _event("12:00", "alignment", outcome="refused", method="static", reason=None),
        _event("12:05", "alignment", outcome="in force", method="static"),
    ]
    store.write(Owned(WEARER, SENSOR, e) for e in told)
    page = day_page(day_figures(store, WEARER, DAY, BERLIN), BERLIN, utc_ns("20:00"))
    store.close()
    (section,) = re.findall(rf"<h2>{catalogue()['clip.title']}</h2><ul>(.*?)</ul>", page)
    shown = re.findall(r"</span>(.*?)</li>", section)
    known = catalogue()
    assert shown[-3:] == [known["clip.slip"], known["clip.walk"], known["clip.static"]]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(29.5, "30 s"), (90, "2 min"), (150, "3 min"), (3600, "1 h"), (37_710, "10 h 29 min"), (7_199, "2 h")],
)
def test_times_are_rounded_as_a_browser_does(seconds: float, said: str) -> None:
    assert duration(seconds).replace("\xa0", " ") == said


@pytest.mark.parametrize(
    ("tilt", "said"),
    [
        (4.5, "5° forward of neutral"),
        (4.494, "4° forward of neutral"),
        (-2.5, "3° back of neutral"),
        (-0.4, "your neutral"),
    ],
)
def test_the_days_middle_is_told_in_whole_degrees_as_on_the_page(tilt: float, said: str) -> None:
    assert from_neutral(tilt) == said


def test_a_dose_leaves_away_what_is_not_known() -> None:
    assert dose({"side": "left", "sets": 1, "reps": 8, "hold_s": 3}) == "left side · 1 set · 8 times · hold\xa03\xa0s"
    assert dose({"exercise": "hip_hinge", "side": None}) == ""


def test_marks_are_moved_apart_and_stay_inside() -> None:
    assert apart([10.0, 50.0], 0.0, 100.0) == [10.0, 50.0]
    assert apart([10.0, 12.0, 95.0, 99.0], 0.0, 100.0) == [10.0, 31.0, 79.0, 100.0]
    many = apart([90.0] * 11, 0.0, 100.0)
    assert many == pytest.approx([10.0 * i for i in range(11)])


def test_an_hour_that_brought_nothing_is_neither_worn_nor_a_day(tmp_path: Path) -> None:
    """Between two days with data the pipeline tells the minutes as empty; they make no day of their own."""
    store = Store.open(tmp_path / "store.db")
    at = utc_ns("08:00")
    store.write(Owned(WEARER, SENSOR, e) for e in nothing(at, at + 3600 * NS_PER_S))
    day = day_figures(store, WEARER, DAY, BERLIN)
    assert day.empty
    assert day_row(DAY, store.minutes(WEARER, 0, 2**62), [])["worn_h"] is None
    assert day_view(list(store.epochs(WEARER)))["minutes"]["t_ms"] == []
    store.close()


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-03-10", 24)])
def test_days_are_local_also_where_clocks_change(tmp_path: Path, day: str, hours: int) -> None:
    store = Store.open(tmp_path / "store.db")
    found = day_figures(store, WEARER, date.fromisoformat(day), BERLIN)
    store.close()
    assert found.to_ns - found.from_ns == hours * 3600 * NS_PER_S
    assert found.empty


def test_the_command_writes_and_says_what_is_wrong(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["report", "day", WEARER, "--store", str(path), "--day", "2026-03-10", "--timezone", "Europe/Berlin"]
    assert main([*base, "--out", str(tmp_path / "day.html")]) == 0
    assert (tmp_path / "day.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    capsys.readouterr()
    assert main([*base, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["exercises"]) == 2
    assert main(["report", "week", "w-999", "--store", str(path)]) == 1
    assert "known: w-001" in capsys.readouterr().err
    assert main([*base, "--out", str(tmp_path / "no" / "day.html")]) == 1
    assert "choose another --out" in capsys.readouterr().err
    assert main([*base, "--pdf", "--out", str(tmp_path / "pdf.html")]) == 1
    assert "name it *.pdf" in capsys.readouterr().err
    assert not (tmp_path / "pdf.html").exists()


def test_the_page_serves_the_reports_with_a_policy_of_their_own(path: Path) -> None:
    settings = Settings(sensors=(Sensor(SENSOR, WEARER),), site=Site(timezone="Europe/Berlin"))

    async def test(client: httpx.AsyncClient) -> None:
        for kind, words in (
            ("day", "Day report: Tuesday, 10 March 2026"),
            ("week", "Week report: 9 March to 15 March 2026"),
        ):
            found = await client.get(f"/report/{kind}")
            assert found.status_code == 200
            assert words in found.text
            assert found.headers["content-security-policy"] == content_policy()
            assert found.headers["cache-control"] == "no-store"
        assert (await client.get("/report/day?day=2026-13-01")).status_code == 400
        assert (await client.get("/report/day?wearer=w-999")).status_code == 404

    run(test, create_app(path, None, settings, SetClock(utc_ns("20:00"))))
