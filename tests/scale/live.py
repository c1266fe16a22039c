"""Many wearers live: `python -m tests.scale.live --wearers N --minutes M [--gateways G] [--profile]`.

100 Hz wearers at the pace of life through everything: decode, journal, pipeline, outbox, embedded store, MQTT with TLS, bridge,
InfluxDB. Reports what was lost (0), how late a second is in the database and at each place before, and the CPU each part
used per wearer and second of life: a measure that a busy machine does not change much. With `--profile` also in which functions.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sqlite3
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from processing.dictionary import KINDS, MEASUREMENT
from processing.types import I64
from sensor_gateway.drivers.synthetic import PER_FRAME
from tests.faults.tape import NS, START_NS, Wearer, read_tape, write_tape
from tests.integration.servers import REPOSITORY, Process, Stack, Tiltline, wait_until
from tests.scale.trial import cpu_s, told
from tests.scale.wave import install_plugin

TAPES = 4
MOST_LAG_S = 1.5
DAY_S = 86_400
START_S = 12.0
WARM_S = 20.0
LATENCY_S = 0.3
WATCHED = 12
"""Wearers whose seconds are looked for in the database while it runs; asking for all would be a load of its own."""
LOOK_S = 0.25
PROBE = {"metric": "coverage", "epoch": "coverage", "event": "event_id", "device": "link"}


class Part(Tiltline):
    """A command of ours, watched."""

    def __init__(self, process: Tiltline, plugin: Path, profile: bool) -> None:
        self.__dict__.update(process.__dict__)
        self._plugin, self.report = plugin, process.folder / "profile.json"
        self._command.remove("--verbose")
        at = self._command.index("sensor_gateway.cli")
        self._command[at : at + 1] = ["tests.scale.watched", str(self.report), *(["--profile"] if profile else [])]

    def environment(self) -> dict[str, str]:
        return dict(os.environ) | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(self._plugin)])}


def live(folder: Path, count: int, minutes: float, gateways: int, profile: bool) -> dict[str, Any]:
    """Bar: nothing lost and lag p95 at most 1.5 s."""
    seconds = minutes * 60
    tapes = [folder / f"{i}.tape" for i in range(TAPES)]
    for i, path in enumerate(tapes):
        write_tape(path, Wearer(f"w-{i}", f"clip-{i}", 70 + i, ()), seconds)
    install_plugin(folder / "plugin")
    names = [f"gw-{100 + i}" for i in range(gateways)]
    stack = Stack(folder, names)
    try:
        stack.start()
        bridge = Part(stack.bridge(), folder / "plugin", profile)
        begin_ns = time.time_ns() + round((START_S + count / 50) * NS)
        nodes = [
            Part(_gateway(stack, name, range(i, count, gateways), tapes, begin_ns), folder / "plugin", profile)
            for i, name in enumerate(names)
        ]
        for part in (bridge, *nodes):
            part.start()
        parts: dict[str, list[Process]] = {
            "gateways": list(nodes),
            "bridge": [bridge],
            "broker": [stack.broker],
            "database": [stack.influx, stack.shim],
        }
        time.sleep(max(0.0, begin_ns / NS + min(WARM_S, seconds / 3) - time.time()))
        before, began = {name: sum(map(cpu_s, ps)) for name, ps in parts.items()}, time.time()
        lags = _lags(stack, count, begin_ns / NS + seconds - 2)
        spent, lasted = {name: sum(map(cpu_s, ps)) - before[name] for name, ps in parts.items()}, time.time() - began
        for node in nodes:
            if node.wait(120 + count) != 0:
                raise RuntimeError(f"{node.name}: {node.said()[-2000:]}")
        added = sum(node.counters()["records_added"] for node in nodes)
        wait_until("the last record", lambda: points(stack) >= added, 60)
        arrivals = [np.array([rx_ns for rx_ns, _ in read_tape(path)]) - START_NS for path in tapes]
        heard = [_heard_s(arrivals[n % TAPES] + _begins_ns(begin_ns, n)) for n in range(count)]
        have, complete = points(stack), _complete(stack, heard)
        bridge.stop()
        wrong = [] if have == added else [f"{added} records and {have} points"]
        wrong += [f"{wearer}: {n} seconds of {heard[int(wearer[2:])]}" for wearer, n in complete.items()]
        lag_s = {str(p): round(quantile(lags, p), 2) for p in (0.5, 0.95, 0.99)}
        if lag_s["0.95"] > MOST_LAG_S:
            wrong.append(f"95 % within {lag_s['0.95']} s, not {MOST_LAG_S}")
        per = {name: round(1000 * s / lasted / count, 3) for name, s in spent.items()}
        report = {
            "wearers": count,
            "gateways": gateways,
            "seconds": round(seconds),
            "records": added,
            "lost": added - have,
            "lag_s": lag_s,
            "seconds_timed": len(lags),
            "age_s": _ages([*nodes, bridge]),
            "cpu_ms_per_wearer_second": per | {"all": round(sum(per.values()), 3)},
            "wearers_on_two_cores": math.floor(2000 / sum(per.values())),
            "journal_mb_per_wearer_day": _journal_mb(nodes),
            "record_bytes_mean": round(_record_bytes(nodes) / max(added, 1)),
            "wrong": wrong,
        }
        if profile:
            report["profile"] = {"gateways": _profile(nodes), "bridge": _profile([bridge])}
        return report
    finally:
        stack.close()


def _gateway(stack: Stack, name: str, numbers: range, tapes: list[Path], begin_ns: int) -> Tiltline:
    sensors = "".join(
        f'[[sensors]]\nid = "clip-{n}"\nwearer = "w-{n}"\ndriver = "wave"\nrate_hz = 100.0\n'
        f'options = {{ path = "{tapes[n % TAPES]}", begin_ns = {_begins_ns(begin_ns, n)} }}\n'
        for n in numbers
    )
    config = (
        f'[site]\ngateway = "{name}"\ndata_dir = "data"\n{sensors}\n[web]\nenabled = false\n{stack.mqtt_toml(name)}'
    )
    return stack.add(Tiltline(stack.folder / name, "run", config, "--until-done"))


def _lags(stack: Stack, count: int, until_s: float) -> list[float]:
    """How long after its end each second of the watched wearers was seen in the database [s]."""
    step = max(1, count // WATCHED)
    watched = "|".join(f"^w-{n}$" for n in range(0, count, step))
    newest: dict[str, int] = {}
    lags = []
    while time.time() < until_s:
        since = time.time_ns() - 60 * NS
        where = f"WHERE wearer =~ /{watched}/ AND time > {since}"
        rows = stack.influx.query(f'SELECT "coverage" FROM "tilt" {where} GROUP BY wearer')
        now_ns = time.time_ns()
        for row in rows:
            wearer, t_ns = str(row["wearer"]), int(row["time"])
            if wearer in newest and t_ns > newest[wearer]:
                lags.append((now_ns - t_ns) / NS - 1.0)
        for row in rows:
            newest[str(row["wearer"])] = max(newest.get(str(row["wearer"]), 0), int(row["time"]))
        time.sleep(LOOK_S)
    return lags


def _journal_mb(nodes: list[Part]) -> float | None:
    """Of one wearer's day, by the compact blocks, which the first minute has none of."""
    sql = "SELECT coalesce({}, 0) FROM journal WHERE NOT small"
    size = sum(_asked(node, "spool.db", sql.format("sum(size)")) for node in nodes)
    entries = sum(_asked(node, "spool.db", sql.format("sum(last_seq - first_seq + 1)")) for node in nodes)
    return round(size / entries * DAY_S * 100 / PER_FRAME / 1e6, 1) if entries else None


def _record_bytes(nodes: list[Part]) -> int:
    """Pages of the embedded store, which holds the same records."""
    return sum(
        _asked(node, "store.db", "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        for node in nodes
    )


def _asked(node: Part, name: str, sql: str) -> int:
    db = sqlite3.connect(node.folder / "data" / name)
    try:
        return int(db.execute(sql).fetchone()[0])
    finally:
        db.close()


def points(stack: Stack) -> int:
    return sum(stack.influx.count(MEASUREMENT[kind], PROBE[kind]) for kind in KINDS)


def _begins_ns(begin_ns: int, number: int) -> int:
    """When a wearer's tape begins: all a little apart."""
    return begin_ns + 7_919_000 * number % NS


def _heard_s(arrivals_ns: I64) -> int:
    """Seconds of UTC, at least, of which the radio brought a sample: bursts of losses leave whole ones without any record.

    A sample is up to `LATENCY_S` older than its payload's arrival.
    """
    return min(len(np.unique((arrivals_ns - round(s * NS)) // NS)) for s in np.arange(0.0, LATENCY_S, 0.02))


def _complete(stack: Stack, heard_s: list[int]) -> dict[str, int]:
    """Wearers with fewer seconds in the database than were heard of them, beyond the two at the ends."""
    rows = stack.influx.query('SELECT count("coverage") FROM "tilt" GROUP BY wearer')
    found = {str(row["wearer"]): int(row["count"]) for row in rows}
    return {f"w-{n}": found.get(f"w-{n}", 0) for n, s in enumerate(heard_s) if found.get(f"w-{n}", 0) < s - 2}


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else math.nan


def _profile(parts: list[Part]) -> dict[str, list[list[Any]]]:
    """Shares of CPU by thread and by function [%]."""
    out: dict[str, list[list[Any]]] = {}
    reports = [json.loads(part.report.read_text()) for part in parts]
    for what in ("threads", "places"):
        total: Counter[str] = Counter()
        for report in reports:
            for name, spent in report[what]:
                total[name.rstrip("0123456789_")] += spent
        whole = sum(total.values()) or 1.0
        out[what] = [[name, round(100 * spent / whole, 1)] for name, spent in total.most_common(25)]
    return out


def _ages(parts: list[Part]) -> dict[str, dict[str, float]]:
    """Of a second at each place on its way [s]: median and p95, the slowest gateway's."""
    out: dict[str, dict[str, float]] = {}
    for part in parts:
        for place, median, p95 in json.loads(part.report.read_text())["ages"]:
            age = out.setdefault(place, {"0.5": 0.0, "0.95": 0.0})
            age["0.5"], age["0.95"] = max(age["0.5"], round(median, 2)), max(age["0.95"], round(p95, 2))
    return out


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale.live", description=__doc__.split("\n\n")[0])
    parser.add_argument("--wearers", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--gateways", type=int, default=2, help="gateway processes (default 2)")
    parser.add_argument("--profile", action="store_true", help="say where the CPU time goes (costs a few per cent)")
    options = parser.parse_args(arguments)
    return told(
        "live", lambda folder: live(folder, options.wearers, options.minutes, options.gateways, options.profile)
    )


if __name__ == "__main__":
    sys.exit(main())
