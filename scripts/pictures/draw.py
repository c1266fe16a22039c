"""`make dashboard-pictures`: each dashboard's panels drawn with Grafana's own components, from a seeded cohort on a real InfluxDB.

Not part of CI: it installs @grafana/ui (hundreds of megabytes) into a cache folder, once. State timelines and heat maps are no part
of that library; a plain drawing with Grafana's colours stands in for them, so their look differs in Grafana itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import sync_playwright

from dashboards.__main__ import generated
from processing.types import NS_PER_S
from sensor_gateway.cli.progress import Progress
from sensor_gateway.cohort.cohort import SITE, CohortOptions, seed
from sensor_gateway.sinks.store import Store
from sensor_gateway.wire.line import line
from tests.dashboards.support.cohort import states
from tests.dashboards.support.grafana import View, interpolate
from tests.dashboards.support.influx import Influx, running_influx

HERE = Path(__file__).parent
DAY_MS = 86_400_000
LIKE_GRAFANA = "*, *::before, *::after { box-sizing: border-box } button { font: inherit; color: inherit; letter-spacing: inherit }"
DAYS = {"tiltline-day": 1, "tiltline-operations": 1, "tiltline-weeks": 28, "tiltline-research": 28}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("artifacts/dashboards"))
    parser.add_argument("--store", type=Path, help="store of a cohort made before (default: one is made)")
    parser.add_argument("--wearer", default="w-001", help="whose day and weeks")
    parser.add_argument("--again", action="store_true", help="draw the answers of the last run again")
    parser.add_argument("--only", nargs="*", help="these dashboards only, e.g. tiltline-cohort")
    options = parser.parse_args()
    cache = installed()
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = options.only or [Path(n).stem for n in generated() if n.startswith("json/")]
    answers = options.out / "answers.json"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if not options.again:
            found = Store.open(options.store or made(folder / "cohort"), readonly=True)
            with running_influx(folder) as influx:
                to_ms = fill(influx, found)
                answers.write_text(json.dumps({uid: results(influx, uid, to_ms, options.wearer) for uid in wanted}))
        data = json.loads(answers.read_text())
        pictures(bundle(cache, folder), {uid: as_written_now(uid, data[uid]) for uid in wanted}, options.out)
    return 0


def installed() -> Path:
    """The folder with the npm packages; installed where package.json has changed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tiltline-pictures"
    stamp, wanted = cache / ".installed-from", (HERE / "package.json").read_text()
    if not stamp.is_file() or stamp.read_text() != wanted:
        cache.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", cache)
        flags = ["--no-package-lock", "--no-fund", "--no-audit", "--legacy-peer-deps", "--loglevel=error"]
        subprocess.run(["npm", "install", *flags, "--ignore-scripts"], cwd=cache, check=True)
        stamp.write_text(wanted)
    return cache


def bundle(cache: Path, folder: Path) -> Path:
    """One script with everything in it, and the page around it."""
    shutil.copy(HERE / "main.jsx", cache / "main.jsx")
    built = folder / "bundle.js"
    defines = ["--define:process.env.NODE_ENV='production'", "--define:global=window"]
    binary = next(cache.glob("node_modules/@esbuild/*/bin/esbuild"))
    loaders = [f"--loader:.{kind}=dataurl" for kind in ("svg", "woff2", "woff", "ttf", "png")]
    subprocess.run(
        [binary, "main.jsx", "--bundle", "--minify", f"--outfile={built}", "--jsx=automatic", *loaders, *defines],
        cwd=cache,
        check=True,
    )
    page = folder / "index.html"
    style = '<link rel="stylesheet" href="bundle.css">' if built.with_suffix(".css").is_file() else ""
    page.write_text(
        f'<!doctype html><meta charset="utf-8">{style}<style>{LIKE_GRAFANA}</style><div id="root"></div><script src="bundle.js"></script>'
    )
    return page


def made(folder: Path) -> Path:
    until = datetime(2026, 11, 20, 18, 30, tzinfo=ZoneInfo("UTC"))
    options = CohortOptions(folder, until)
    with Progress("Living the cohort") as bar:
        seed(options, None, bar)
    return options.store_path


def fill(influx: Influx, store: Store) -> int:
    """Everything in the store into the database; the newest minute's end [ms]."""
    newest = 0
    for wearer in store.wearers():
        sensor = f"synthetic-{wearer.removeprefix('w-')}"
        for records in (store.events(wearer), store.epochs(wearer), store.metrics(wearer), store.devices(wearer)):
            influx.write([line(SITE, wearer, sensor, record) for record in records])
        last = store.latest_metric(wearer)
        newest = max(newest, 0 if last is None else last.t_utc_ns)
    influx.write(list(states((SITE,), newest // NS_PER_S // 86_400 * 86_400)))
    return newest // 1_000_000


def results(influx: Influx, uid: str, to_ms: int, wearer: str) -> dict[str, Any]:
    """The dashboard with its panels' answers as frames."""
    dashboard = json.loads(generated()[f"json/{uid}.json"])
    chosen: dict[str, Any] = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "textbox":
            chosen[variable["name"]] = variable["query"]
            continue
        (series,) = influx.query(interpolate(variable["query"], View(0, to_ms, chosen)))
        values = sorted(row[1] for row in series["values"])
        chosen[variable["name"]] = values if variable["multi"] else wearer
    from_ms = (
        to_ms // DAY_MS * DAY_MS - (DAYS.get(uid, 8) - 1) * DAY_MS + (5 * 3_600_000 if uid == "tiltline-day" else 0)
    )
    view = View(from_ms, to_ms, chosen, 1200)
    for panel in dashboard["panels"]:
        panel["frames"] = [
            frame
            for target in panel["targets"]
            for frame in frames(target, influx.query(interpolate(target["query"], view, panel.get("interval", ""))))
        ]
    return {"dashboard": dashboard, "from": from_ms, "to": to_ms}


def as_written_now(uid: str, answered: dict[str, Any]) -> dict[str, Any]:
    """The answers in the panels as the code has them now, which with ``--again`` may look different."""
    dashboard = json.loads(generated()[f"json/{uid}.json"])
    found = {panel["title"]: panel["frames"] for panel in answered["dashboard"]["panels"]}
    for panel in dashboard["panels"]:
        panel["frames"] = found.get(panel["title"], [])
    return {**answered, "dashboard": dashboard}


def frames(target: dict[str, Any], series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As Grafana's data source makes them: one frame per line of a time series, one for a whole table."""
    if target["resultFormat"] == "table":
        return [table(target, series)] if series else []
    made = []
    for one in series:
        times = [row[0] for row in one["values"]]
        for i, column in enumerate(one["columns"][1:], 1):
            name = target.get("alias", "$col").replace("$col", column)
            for tag, value in one.get("tags", {}).items():
                name = name.replace(f"$tag_{tag}", value)
            values = [row[i] for row in one["values"]]
            made.append({"refId": target["refId"], "fields": [field("Time", times), field(name, values)]})
    return made


def table(target: dict[str, Any], series: list[dict[str, Any]]) -> dict[str, Any]:
    tags = list(series[0].get("tags", {}))
    rows = [[row[0], *(s["tags"][t] for t in tags), *row[1:]] for s in series for row in s["values"]]
    names = ["Time", *tags, *series[0]["columns"][1:]]
    fields = [field(n, [r[i] for r in rows]) for i, n in enumerate(names)]
    return {"refId": target["refId"], "name": series[0]["name"], "fields": fields}


def field(name: str, values: list[Any]) -> dict[str, Any]:
    kind = "time" if name == "Time" else "string" if any(isinstance(v, str) for v in values) else "number"
    return {"name": name, "type": kind, "values": values}


def pictures(page: Path, data: dict[str, Any], out: Path) -> None:
    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for uid, shown in data.items():
            for dark in (False, True):
                tab = browser.new_page(viewport={"width": 1416, "height": 1000})
                tab.on(
                    "console", lambda m: print(f"page: {m.text[:400]}", file=sys.stderr) if m.type == "error" else None
                )
                tab.on("pageerror", lambda error: print(f"page: {error}", file=sys.stderr))
                tab.goto(page.as_uri())
                tab.wait_for_function("window.ready", timeout=120_000)
                tab.evaluate("shown => window.draw(shown)", {**shown, "dark": dark})
                tab.locator("h1").wait_for(timeout=60_000)
                time.sleep(4)
                name = out / f"{uid}-{'dark' if dark else 'light'}.png"
                tab.screenshot(path=name, full_page=True)
                print(name)
                tab.close()
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
