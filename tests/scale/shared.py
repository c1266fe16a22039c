"""Several bridges on one broker: `python -m tests.scale.shared [--gateways N] [--seconds S]`.

Real Mosquitto with TLS, real InfluxDB, each bridge a process (`tiltline bridge --shared`), each gateway a real outbox and its
real MQTT sink. Three bridges carry the load; one is killed in the middle of it, and later one is added. Held against what
was put in: nothing lost, nothing doubled, nothing with other values, no wearer's second written after a later one.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processing.types import Metric
from sensor_gateway.bridge.queue import BridgeQueue
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Mqtt, Settings, Site
from sensor_gateway.sinks.mqtt import MqttSink
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.outbox import Outbox, SinkView
from tests.faults.load import InOrder
from tests.integration.servers import Stack, Tiltline, wait_until
from tests.scale.trial import told

T0_NS = 1_790_000_000 * 10**9
TICK_S = 0.1
PER_TICK = 5
"""Seconds of data per wearer and tick: fifty times as fast as life."""
WEARERS = 2
DRAIN_S = 120.0


def metric(wearer: int, i: int) -> Metric:
    return Metric(T0_NS + i * 10**9, float(wearer), 0.1, 1.5, "standing", 0.9, (i % 100) / 100, 0.8)


class LoadedGateway:
    """A gateway's outbox and MQTT sink, fed with seconds of its wearers."""

    def __init__(self, stack: Stack, name: str, number: int) -> None:
        broker = stack.broker
        mqtt = Mqtt(True, "127.0.0.1", broker.port, True, "ca.crt", name, f"{name}.password", 20, 5)
        self.wearers = {number * WEARERS + i: f"w-{number * WEARERS + i:03d}" for i in range(WEARERS)}
        self.spool = Spool(stack.folder / name / "spool.db")
        self.outbox = Outbox(self.spool, ["mqtt"], 10**6)
        self._runs = {n: self.outbox.run(f"clip-{n}", wearer, "hash", 0) for n, wearer in self.wearers.items()}
        self.sink = MqttSink(Settings(site=Site(gateway=name), mqtt=mqtt), broker.folder, SystemClock())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.sink.run, args=(SinkView(self.outbox, "mqtt"), self._stop))
        self._thread.start()
        self.stored = 0

    def store(self, count: int) -> None:
        for n, run in self._runs.items():
            self.outbox.store(run, self.stored, [metric(n, self.stored + i) for i in range(count)])
        self.stored += count

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self.spool.close()


@contextmanager
def site(folder: Path, count: int) -> Iterator[tuple[Stack, list[LoadedGateway]]]:
    names = [f"gw-{100 + i}" for i in range(count)]
    stack = Stack(folder, names)
    gateways: list[LoadedGateway] = []
    try:
        stack.start()
        gateways += [LoadedGateway(stack, name, i) for i, name in enumerate(names)]
        yield stack, gateways
    finally:
        for gateway in gateways:
            gateway.close()
        stack.close()


def trial(folder: Path, count: int, seconds: float) -> dict[str, Any]:
    """Bar: 0 lost, 0 doubled, order per wearer kept; ``wrong`` lists what is not so."""
    with site(folder, count) as (stack, gateways):
        bridges = [_bridge(stack, i) for i in range(3)]
        order, began = InOrder(stack), time.monotonic()
        killed, added = False, False
        carried: dict[str, list[int]] = {}
        while (at := time.monotonic() - began) < seconds or not _received(stack, 3):
            assert at < seconds + DRAIN_S, "the bridge that was added carries nothing"
            for gateway in gateways:
                gateway.store(PER_TICK)
            if not killed and at > 0.25 * seconds and _received(stack, 0):
                carried["before the kill"] = [_received(stack, i) for i in range(3)]
                bridges[0].kill9()
                killed = True
            if killed and not added and at > 0.4 * seconds:
                bridges.append(_bridge(stack, 3))
                added = True
            order.look()
            time.sleep(max(0.0, began + at + TICK_S - time.monotonic()))
        wait_until(
            "the last record in the database",
            lambda: order.look() and not any(g.outbox.queued("mqtt") for g in gateways),
            DRAIN_S,
        )
        for bridge in bridges[1:]:
            bridge.stop()
        books = [_books(stack, i) for i in range(4)]
        carried["at the end"] = [book["written"] for book in books]
        wrong = order.wrong + _compare(stack, gateways)
        wrong += [f"bridge-{i}: its books do not balance: {b}" for i, b in enumerate(books) if not _balances(b)]
        wrong += [f"bridge-{i} carried nothing" for i, n in enumerate(carried["at the end"]) if n == 0]
        return {
            "gateways": count,
            "records": sum(g.stored * WEARERS for g in gateways),
            "seconds": round(time.monotonic() - began, 1),
            "looks_at_order": order.looks,
            "written_by_bridge": carried,
            "written_twice": sum(carried["at the end"]) - sum(g.stored * WEARERS for g in gateways),
            "resends": sum(g.sink.resends for g in gateways),
            "wrong": wrong,
        }


def _bridge(stack: Stack, number: int) -> Tiltline:
    bridge = stack.bridge(f"bridge-{number}", "--shared")
    bridge.start()
    return bridge


def _books(stack: Stack, number: int) -> dict[str, int]:
    queue = BridgeQueue(stack.folder / f"bridge-{number}" / "data" / "bridge.db")
    counters = queue.counters()
    queue.close()
    return counters


def _received(stack: Stack, number: int) -> int:
    return _books(stack, number)["received"]


def _balances(book: dict[str, int]) -> bool:
    return book["received"] == sum(book[part] for part in ("written", "rejected", "dropped", "queued"))


def _compare(stack: Stack, gateways: list[LoadedGateway]) -> list[str]:
    """Every point of the database against the record it should be."""
    wrong = []
    for gateway in gateways:
        for number, wearer in gateway.wearers.items():
            rows = stack.influx.query(f"SELECT * FROM \"tilt\" WHERE wearer = '{wearer}'")
            have = [(int(r["time"]), r["anterior_tilt_deg"], r["coverage"]) for r in rows]
            want = [(m.t_utc_ns, m.anterior_tilt_deg, m.coverage) for m in _metrics(number, gateway.stored)]
            if have != want:
                wrong.append(f"{wearer}: {len(set(want) - set(have))} lost, {len(have) - len(set(have))} doubled")
    return wrong


def _metrics(number: int, count: int) -> list[Metric]:
    return [metric(number, i) for i in range(count)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale.shared", description=__doc__.split("\n\n")[0])
    parser.add_argument("--gateways", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=90.0, help="of load; a bridge is killed after a quarter of it")
    options = parser.parse_args(arguments)
    return told("shared", lambda folder: trial(folder, options.gateways, options.seconds))


if __name__ == "__main__":
    sys.exit(main())
