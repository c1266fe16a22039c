"""Long loads, by command: `python -m tests.faults.load outage|soak|throughput [--json]`.

`outage`: broker and database are away while four wearers record a day; then both come back and everything is drained in order.
`soak`: eight days of four wearers through the whole stack; memory, descriptors and files must stay flat.
`throughput`: what the bridge writes beside a bare loop of the same line protocol into the same InfluxDB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from processing.types import Metric
from sensor_gateway.bridge.intake import sort_out
from sensor_gateway.bridge.queue import BridgeQueue, Good
from sensor_gateway.config import Influx
from sensor_gateway.mqtt_link import Incoming
from sensor_gateway.sinks.influx import InfluxWriter
from sensor_gateway.status.status import StatusError, bridge_books, gateway_books
from sensor_gateway.wire import topics
from sensor_gateway.wire.line import Queued
from sensor_gateway.wire.messages import Entry, encode_message, encode_record
from tests.faults.chaos import calm_run
from tests.faults.site import Site
from tests.faults.tape import NS, START_NS, Wearer, freeze_code, repeat_tape, set_pace, wearers, write_tape
from tests.faults.verify import books, expected_rows, fingerprints_of_store, judge, judge_fingerprints
from tests.integration.servers import TOKEN, Influxd, Shim, Stack, wait_until

SAMPLE_S = 1.0
QUIET_S = 30.0
STALLED_S = 400.0
"""Longer than the gateway's longest pause before it sends again."""


def make_tapes(folder: Path, count: int, hours: float) -> dict[Wearer, Path]:
    """A day of each wearer; more days are the same one again."""
    seconds = min(hours, 24.0) * 3600
    tapes = {w: folder / f"{w.sensor}.tape" for w in wearers(count, seconds, 3)}
    with ProcessPoolExecutor(count) as pool:
        for done in [pool.submit(write_tape, path, wearer, seconds) for wearer, path in tapes.items()]:
            done.result()
        for done in [pool.submit(repeat_tape, path, seconds, hours * 3600 / seconds) for path in tapes.values()]:
            done.result()
    return tapes


class Watch(threading.Thread):
    """Memory, descriptors and file sizes of gateway and bridge, once a second."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self._site, self.done = site, threading.Event()
        self.rows: list[dict[str, float]] = []

    def run(self) -> None:
        began = time.monotonic()
        while not self.done.wait(SAMPLE_S):
            row: dict[str, float] = {"s": round(time.monotonic() - began, 1)}
            for name, node in self._site.nodes.items():
                with suppress(OSError, IndexError, ValueError):
                    statm = Path(f"/proc/{node.pid}/statm").read_text().split()
                    row[f"{name}_mb"] = int(statm[1]) * 4096 / 1e6
                    row[f"{name}_fds"] = len(list(Path(f"/proc/{node.pid}/fd").iterdir()))
                    row[f"{name}_files_mb"] = sum(p.stat().st_size for p in node.data.iterdir()) / 1e6
            with suppress(StatusError):
                hops = {h.name: h for h in gateway_books(self._site.gateway_node.data).hops}
                row["computed"], row["waiting"] = hops["pipeline"].written, hops["mqtt"].queued
                row["durable"] = hops["mqtt"].written
            self.rows.append(row)

    def growth(self, name: str, first: float = 0.4) -> tuple[float, float]:
        """Mean in the middle of the run, mean in its last fifth."""
        values = [row[name] for row in self.rows if name in row]
        a, b = int(len(values) * first), int(len(values) * 0.8)
        middle, end = values[a : max(a + 1, int(len(values) * 0.6))], values[b:] or values[-1:]
        return sum(middle) / len(middle), sum(end) / len(end)


def mqtt_hop(site: Site) -> Any:
    return next(h for h in gateway_books(site.gateway_node.data).hops if h.name == "mqtt")


def outage(folder: Path, hours: float, count: int) -> dict[str, Any]:
    """Bar: a day of data for four wearers kept, drained in order within ten minutes, nothing lost, memory flat."""
    tapes = make_tapes(folder, count, hours)
    want = expected_rows(calm_run(folder, tapes))
    total = sum(map(len, want.values()))
    site = Site(folder / "site", tapes, freeze_code(folder), disks=False, faketime=None)
    try:
        site.start()
        wait_until("the gateway", (site.gateway_node.data / "spool.db").is_file)
        for name in ("broker", "database"):
            site.down(name)
        watch = Watch(site)
        watch.start()
        set_pace(site.pace, 1 << 62)
        until(lambda: mqtt_hop(site).received == total, 3600)
        kept = mqtt_hop(site).queued
        for name in ("broker", "database"):
            site.up(name)
        began = time.monotonic()
        order = InOrder(site)
        until(lambda: order.look() and mqtt_hop(site).queued == 0, 1800)
        drained_s = time.monotonic() - began
        watch.done.set()
        watch.join()
        site.held_down |= {"gateway", "bridge"}
        for node in site.nodes.values():
            node.stop()
        wrong, numbers = judge(site.folder, site.influx, want)
        wrong += order.wrong
        flat = {name: [round(v, 1) for v in watch.growth(name)] for name in ("gateway_mb", "bridge_mb")}
        return {
            "hours": hours,
            "wearers": count,
            "records": total,
            "kept_while_away": kept,
            "drained_s": round(drained_s, 1),
            "records_per_s": round(total / drained_s),
            "memory_mb_middle_end": flat,
            "wrong": wrong,
            **numbers,
        }
    finally:
        site.close()


class InOrder:
    """While it drains: no wearer's newest stored second may lie before a stretch that comes later. Looked at in InfluxDB."""

    def __init__(self, site: Stack) -> None:
        self._site = site
        self._seen: dict[str, tuple[int, int]] = {}
        self.wrong: list[str] = []
        self.looks = 0

    def look(self) -> bool:
        """Count and newest second per wearer: what was once below the newest must not grow afterwards."""
        with suppress(OSError, AssertionError):
            for wearer, (count, newest) in list(self._seen.items()):
                where = f"WHERE wearer = '{wearer}' AND time <= {newest}"
                now = self._site.influx.query(f'SELECT count("coverage") FROM "tilt" {where}')
                if now and int(now[0]["count"]) != count:
                    self.wrong.append(f"{wearer}: {now[0]['count'] - count} seconds came after later ones")
            for row in self._site.influx.query('SELECT last("coverage") FROM "tilt" GROUP BY wearer'):
                newest, wearer = int(row["time"]), str(row["wearer"])
                where = f"WHERE wearer = '{wearer}' AND time <= {newest}"
                count = self._site.influx.query(f'SELECT count("coverage") FROM "tilt" {where}')[0]["count"]
                self._seen[wearer] = (int(count), newest)
            self.looks += 1
        return True


def soak(folder: Path, days: float, count: int, speed: float, calm: bool, most_s: float) -> dict[str, Any]:
    """Bar: eight days of four wearers at speed; memory, descriptors, file sizes flat.

    ``calm``: an undisturbed run beside it says what must come out; otherwise the database is held against the gateway's own
    store. After ``most_s`` the days so far are judged.
    """
    tapes = make_tapes(folder, count, days * 24)
    want = fingerprints_of_store(calm_run(folder, tapes)) if calm else None
    site = Site(folder / "site", tapes, freeze_code(folder), disks=False, faketime=None)
    try:
        site.start()
        watch = Watch(site)
        watch.start()
        began = time.monotonic()
        latest = began + most_s
        delivered = Delivered(site)
        while (at := (time.monotonic() - began) * speed) < days * 86_400 and time.monotonic() < latest:
            # Never further ahead than the stack carries: a soak is about days passing, not about a backlog.
            with suppress(StatusError, StopIteration):
                delivered.look()
                if mqtt_hop(site).queued > 20_000:
                    began += SAMPLE_S
            set_pace(site.pace, START_NS + round(max(at, 0.0) * NS))
            time.sleep(SAMPLE_S)
        set_pace(site.pace, 1 << 62)
        quiet = Quiet(site)
        while not quiet.look() and time.monotonic() < latest:
            with suppress(StatusError, StopIteration):
                delivered.look()
            time.sleep(SAMPLE_S)
        set_pace(site.pace, 0)
        until(lambda: quiet.look() and mqtt_hop(site).queued == 0, 600)
        until(lambda: bridge_books(site.bridge_node.data).hops[0].queued == 0, 60)
        watch.done.set()
        watch.join()
        site.held_down |= {"gateway", "bridge"}
        for node in site.nodes.values():
            node.stop()
        passed = days_passed(site)
        if want is None:
            want = fingerprints_of_store(site.gateway_node.data / "store.db")
        span_ns = (START_NS - 3600 * NS, START_NS + round((days + 1) * 86_400 * NS))
        wrong = judge_fingerprints(site.folder, site.influx, want, span_ns)
        names = ("gateway_mb", "bridge_mb", "gateway_fds", "bridge_fds", "bridge_files_mb")
        flat = {name: [round(v, 1) for v in watch.growth(name)] for name in names}
        for name, (middle, last) in flat.items():
            if last > middle * 1.15 + 2:
                wrong.append(f"{name} grew from {middle} to {last}")
        return {
            "days": round(passed, 2),
            "wearers": count,
            "records": sum(n for n, _ in want.values()),
            "held_against": "an undisturbed run" if calm else "the gateway's store",
            "took_s": watch.rows[-1]["s"],
            "middle_and_end": flat,
            "gateway_files_mb_per_wearer_day": round(watch.rows[-1]["gateway_files_mb"] / passed / count, 1),
            "wrong": wrong,
            "books": books(site.folder),
        }
    finally:
        site.close()


def days_passed(site: Site) -> float:
    """How far the slowest wearer's tape has come."""
    return (min(seen.last_rx_utc_ns for seen in gateway_books(site.gateway_node.data).sensors) - START_NS) / NS / 86_400


class Delivered:
    """That what waits for the database goes on getting there: a day's soak whose delivery stands still says so at once."""

    def __init__(self, site: Site) -> None:
        self._site, self._written, self._since = site, -1, time.monotonic()

    def look(self) -> None:
        hop = mqtt_hop(self._site)
        if hop.written != self._written or not hop.queued:
            self._written, self._since = hop.written, time.monotonic()
        if time.monotonic() - self._since > STALLED_S:
            said = "\n".join(f"{name}: {node.said()[-1000:]}" for name, node in self._site.nodes.items())
            raise TimeoutError(f"{hop.queued} records wait and none was delivered for {STALLED_S:.0f} s\n{said}")


class Quiet:
    """Whether nothing has been computed for a while: the tapes have run up to where they may."""

    def __init__(self, site: Site) -> None:
        self._site, self._seen, self._since = site, -1, time.monotonic()

    def look(self) -> bool:
        with suppress(StatusError, StopIteration):
            received = mqtt_hop(self._site).received
            if received != self._seen:
                self._seen, self._since = received, time.monotonic()
        return time.monotonic() - self._since > QUIET_S


def until(check: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with suppress(StatusError, StopIteration):
            if check():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done within {seconds:.0f} s")
        time.sleep(0.2)


def throughput(folder: Path, points: int, batch: int) -> dict[str, Any]:
    """Lines per second: bare loop, the bridge's writer emptying its queue, and receiving into the queue."""
    influx = Influxd(folder / "influx")
    shim = Shim(folder / "nginx", influx.port)
    try:
        influx.start()
        shim.start()
        arrivals = list(map(_incoming, range(1, points + 1)))
        began = time.perf_counter()
        checked = [sort_out(one) for one in arrivals]
        check_s = time.perf_counter() - began
        lines = [one.line for one in checked if isinstance(one, Good)]
        assert len(lines) == points
        best: dict[str, float] = {"bare": 0.0, "bridge": 0.0, "receive": 0.0}
        for attempt in range(3):  # in turn, best of three: neighbours on the machine disturb both alike
            for name in (f"bare{attempt}", f"bridge{attempt}"):
                influx.create(name)
            writer = InfluxWriter(Influx(url=shim.url, bucket=f"bare{attempt}"), TOKEN)
            began = time.perf_counter()
            for i in range(0, points, batch):
                writer.write([Queued(i + k, text) for k, text in enumerate(lines[i : i + batch])])
            best["bare"] = max(best["bare"], points / (time.perf_counter() - began))
            writer.close()
            queue = BridgeQueue(folder / f"bridge{attempt}.db")
            began = time.perf_counter()
            for i in range(0, points, 200):
                queue.receive(checked[i : i + 200])
            best["receive"] = max(best["receive"], points / (time.perf_counter() - began + check_s))
            writer = InfluxWriter(Influx(url=shim.url, bucket=f"bridge{attempt}"), TOKEN)
            began = time.perf_counter()
            while rows := queue.take(batch):
                outcome = writer.write(rows)
                queue.settle(outcome.written, outcome.rejected)
            best["bridge"] = max(best["bridge"], points / (time.perf_counter() - began))
            writer.close()
            assert influx.count("tilt", "coverage", f"bridge{attempt}") == points
            queue.close()
        return {
            "points": points,
            "batch": batch,
            "bare_loop_per_s": round(best["bare"]),
            "bridge_writer_per_s": round(best["bridge"]),
            "share": round(best["bridge"] / best["bare"], 2),
            "check_and_queue_per_s": round(best["receive"]),
            "wrong": []
            if best["bridge"] >= 0.5 * best["bare"]
            else ["the bridge writes less than half of a bare loop"],
        }
    finally:
        shim.kill9()
        influx.kill9()


def _incoming(i: int) -> Incoming:
    metric = Metric(10**18 + i * NS, 1.0 + i % 7, 0.1, 1.5, "standing", 0.9, 1.0, 0.8)
    entry = Entry(i, i - 1, 1, "w-001", "clip-1", "metric", metric.t_utc_ns, encode_record(metric))
    payload = encode_message(entry, "home", "gw-1", "0123456789abcdef")
    return Incoming(topics.record("home", "gw-1", "w-001", "metric"), payload, i, 1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.load", description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=("outage", "soak", "throughput"))
    parser.add_argument("--hours", type=float, default=24.0, help="outage: hours of data (default 24)")
    parser.add_argument("--days", type=float, default=8.0, help="soak: simulated days (default 8)")
    parser.add_argument("--wearers", type=int, default=4, choices=(1, 2, 3, 4))
    parser.add_argument("--speed", type=float, default=3000.0, help="soak: simulated seconds per second at most")
    parser.add_argument("--no-calm", action="store_true", help="soak: no undisturbed run beside it, half the time")
    parser.add_argument("--most-minutes", type=float, default=600.0, help="soak: judge what there is after this time")
    parser.add_argument("--points", type=int, default=60_000, help="throughput: lines (default 60000)")
    parser.add_argument("--batch", type=int, default=2000, help="throughput: lines per write (default 2000)")
    parser.add_argument("--report", type=Path, help="write the result here as JSON")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="tiltline-load-"))
    try:
        if options.what == "outage":
            report = outage(folder, options.hours, options.wearers)
        elif options.what == "soak":
            report = soak(
                folder, options.days, options.wearers, options.speed, not options.no_calm, options.most_minutes * 60
            )
        else:
            report = throughput(folder, options.points, options.batch)
    except BaseException:
        print(f"files kept in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    text = json.dumps(report, indent=1)
    print(text)
    if options.report is not None:
        options.report.write_text(text + "\n")
    return int(bool(report["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
