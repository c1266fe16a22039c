"""What processes say of themselves: books, file, Prometheus text, `tiltline status`."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from processing.types import DeviceReport, Event, Metric
from sensor_gateway import cli
from sensor_gateway.bridge.queue import BridgeQueue
from sensor_gateway.bridge.states import GatewayStates, own_line
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import Metrics
from sensor_gateway.drivers.base import Received
from sensor_gateway.mqtt_link import Incoming
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.store import Store
from sensor_gateway.spool.block import Source
from sensor_gateway.spool.books import COUNTED
from sensor_gateway.spool.database import Spool
from sensor_gateway.spool.journal import Journal
from sensor_gateway.spool.outbox import Outbox
from sensor_gateway.status.metrics_endpoint import HELP, as_text
from sensor_gateway.status.refusals import Refusals, by_door
from sensor_gateway.status.report import ClockWatch, Report, Reporter, numbers, plain, read, vitals, write
from sensor_gateway.status.status import StatusError, bridge_books, gateway_books
from sensor_gateway.wire import topics
from sensor_gateway.wire.messages import Status, encode_status
from tests.integration.servers import wait_until
from tests.sensor_gateway.bridge.test_queue import arrival

NS = 1_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A gateway's files with something in every book, and a configuration beside them."""
    now = SystemClock().utc_ns()
    data = tmp_path / "data"
    spool = Spool(data / "spool.db")
    journal = Journal(spool, 10**9)
    journal.append("clip-1", [(Source("open", 1), Received("u", b"x", 1, now - 3 * NS)) for _ in range(7)], True)
    outbox = Outbox(spool, ["store", "mqtt"], 20)
    run = outbox.run("clip-1", "w-001", "hash", 0)
    records = [Metric(now - (60 - i) * NS, 1.0, 0.1, 1.5, "standing", 0.9, 1.0, 0.8) for i in range(30)]
    outbox.store(run, 0, records[:10])
    outbox.confirm("store", 10)
    outbox.store(run, 10, [*records[10:], Event(now, "e", "no such type", None, {})])
    store = Store.open(data / "store.db")
    store.write([Owned("w-001", "clip-1", DeviceReport(now, battery_percent=37.0))])
    store.close()
    (tmp_path / "gateway.toml").write_text('[site]\ndata_dir = "data"\n')
    yield data
    spool.close()


def a_report(data: Path, troubles: tuple[str, ...] = ()) -> Report:
    clock = SystemClock()
    signs, now = vitals(data, ClockWatch(clock)), clock.utc_ns()
    names = ("gateway", "home", "gw-1", os.getpid(), now, now)
    return Report(*names, signs, gateway_books(data), troubles, {"clip-1": "lost"}, refusals=by_door(refused()))


def refused() -> list[Refusals]:
    """Two doors; one has turned three away."""
    page, command = Refusals("page"), Refusals("command")
    for kind in ("signature", "expired", "signature"):
        command.note(kind, "the broker", "a test")
    return [page, command]


def test_the_books_of_a_gateway_balance_hop_by_hop(folder: Path) -> None:
    hops = {hop.name: hop for hop in gateway_books(folder, count_all=True).hops}
    assert set(hops) == {"journal", "pipeline", "store", "mqtt"}
    assert [hop.missing for hop in hops.values()] == [0, 0, 0, 0]
    assert (hops["journal"].received, hops["journal"].written) == (7, 7)
    assert (hops["pipeline"].received, hops["pipeline"].rejected) == (31, 1)
    assert hops["mqtt"].dropped > hops["store"].dropped >= 0
    assert hops["mqtt"].queued > 0
    assert hops["mqtt"].lag_s == pytest.approx(hops["mqtt"].queued - 1)
    seen = gateway_books(folder).sensors[0]
    assert (seen.sensor, seen.battery_percent) == ("clip-1", 37.0)


def test_books_that_do_not_balance_are_seen(folder: Path) -> None:
    with sqlite3.connect(folder / "spool.db") as db:
        db.execute("DELETE FROM outbox WHERE seq = (SELECT max(seq) FROM outbox)")
    db.close()
    missing = {hop.name: hop.missing for hop in gateway_books(folder).hops}
    assert missing == {"pipeline": 0, "store": 1, "mqtt": 1}
    assert cli.main(["status", "--config", str(folder.parent / "gateway.toml")]) == 1


def test_of_a_long_outage_only_the_command_counts_every_row(folder: Path) -> None:
    """A service reports every five seconds, and must not read gigabytes for it."""
    with sqlite3.connect(folder / "spool.db") as db:
        row = db.execute("SELECT wearer, sensor, kind, t_utc_ns, body FROM outbox").fetchone()
        many = COUNTED + 10
        db.executemany("INSERT INTO outbox (wearer, sensor, kind, t_utc_ns, body) VALUES (?, ?, ?, ?, ?)", [row] * many)
        for counter in ("records_added", "mqtt_received"):
            db.execute("UPDATE counter SET value = value + ? WHERE name = ?", (many, counter))
    db.close()
    (believed,) = (hop for hop in gateway_books(folder).hops if hop.name == "mqtt")
    (counted,) = (hop for hop in gateway_books(folder, count_all=True).hops if hop.name == "mqtt")
    assert believed == counted
    assert (counted.queued > many, counted.missing) == (True, 0)
    with sqlite3.connect(folder / "spool.db") as db:
        db.execute("DELETE FROM outbox WHERE seq % 100 = 7 AND seq > 1000")
    db.close()
    (believed,) = (hop for hop in gateway_books(folder).hops if hop.name == "mqtt")
    (counted,) = (hop for hop in gateway_books(folder, count_all=True).hops if hop.name == "mqtt")
    assert (believed.missing, counted.missing) == (0, 491)


def test_at_a_first_start_the_store_may_have_no_tables_yet(folder: Path) -> None:
    for left in folder.glob("store.db*"):
        left.unlink()
    (folder / "store.db").touch()
    assert [seen.battery_percent for seen in gateway_books(folder).sensors] == [None]


def test_the_bridges_books_and_lag(tmp_path: Path) -> None:
    queue = BridgeQueue(tmp_path / "bridge.db")
    queue.receive([arrival(1), arrival(2), arrival(9), arrival(3, coverage=9.0)])
    hop = bridge_books(tmp_path).hops[0]
    assert (hop.received, hop.rejected, hop.queued, hop.missing, hop.lag_s) == (4, 1, 3, 0, 8.0)
    with pytest.raises(StatusError, match="not there yet"):
        bridge_books(tmp_path / "elsewhere")


def test_status_of_a_running_and_a_stopped_gateway(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(folder.parent / "gateway.toml")
    assert cli.main(["status", "--config", config]) == 0
    said = capsys.readouterr().out
    assert "gateway: not running\n" in said
    assert "derived" not in said
    (folder / "derived").mkdir()
    for name in ("stricter", "retro"):
        (folder / "derived" / f"{name}.db").touch()
    write(folder / "status-gateway.json", replace(a_report(folder), pid=2**22 + 1))
    assert cli.main(["status", "--config", config]) == 1, "it has run here, and is gone"
    assert "gateway: not running; start it" in capsys.readouterr().out
    write(folder / "status-gateway.json", a_report(folder, ("mqtt: no answer",)))
    assert cli.main(["status", "--config", config, "--json"]) == 1
    state = json.loads(capsys.readouterr().out)["gateway"]
    assert (state["running"], state["pid"], state["unbalanced"]) == (True, os.getpid(), [])
    assert state["sensors"][0]["link"] == "lost"
    assert state["derivations"] == ["retro", "stricter"]
    assert state["refusals"] == {"page": {}, "command": {"expired": 1, "signature": 2}}
    assert cli.main(["status", "--config", config]) == 1
    said = capsys.readouterr().out
    assert "derived beside the store: retro, stricter ('tiltline replay --list' says how)\n" in said
    assert "refused since the start, page: nothing\n" in said
    assert "refused since the start, command: expired 1, signature 2\n" in said
    assert state["sensors"][0]["data_age_s"] == pytest.approx(3, abs=3)
    cli.main(["status", "--config", config])
    shown = capsys.readouterr().out
    for words in (
        "running, process",
        "queued",
        "battery 37 %",
        "! mqtt: no answer",
        "descriptors",
        "outbox dropped metric",
    ):
        assert words in shown
    (folder.parent / "empty.toml").write_text('[site]\ndata_dir = "nowhere"\n')
    assert cli.main(["status", "--config", str(folder.parent / "empty.toml")]) == 2


def test_vital_signs_count_what_leaks(folder: Path, tmp_path: Path) -> None:
    before = vitals(folder, ClockWatch(SystemClock()))
    address = tmp_path / "dbus"
    address.mkdir()
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(str(address / "system_bus_socket"))
        bus.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(address / "system_bus_socket"))
            during = vitals(folder, ClockWatch(SystemClock()))
    assert during.open_fds is not None
    assert before.open_fds is not None
    assert during.open_fds == before.open_fds + 2
    assert (before.dbus_connections, during.dbus_connections) == (0, 1)
    assert during.disk_free_bytes > 0


class Stepped(SystemClock):
    """A clock that somebody sets."""

    ahead_s = 0.0

    def utc_ns(self) -> int:
        return super().utc_ns() + round(self.ahead_s * NS)


def test_the_bridge_shows_what_a_gateway_refused_and_counts_what_it_cannot_read(folder: Path) -> None:
    door = Refusals("message")
    states = GatewayStates(SystemClock(), door)
    told = numbers(a_report(folder).vitals, 2.0, by_door(refused()))
    assert (told["refused_command_signature"], told["lag_s"]) == (2, 2)
    status = encode_status(Status(1, True, 1, "0" * 16, 3, 9, {}, told))
    assert states.take(Incoming(topics.status("home", "gw-1"), status, 1, 1)) is not None
    assert states.numbers()["home/gw-1"]["refused"] == 3
    assert "refused=3i" in states.lines()[0]
    assert states.take(Incoming(topics.status("home", "gw-1"), b"no status", 1, 1)) is None
    assert door.counts() == {"status": 1}


def test_several_bridges_of_a_site_do_not_overwrite_each_other(tmp_path: Path) -> None:
    BridgeQueue(tmp_path / "bridge.db").close()
    now, books = SystemClock().utc_ns(), bridge_books(tmp_path)
    signs = vitals(tmp_path, ClockWatch(SystemClock()))
    reports = [Report("bridge", "home", name, 1, now, now, signs, books) for name in ("bridge-1", "bridge-2")]
    first, second = (
        {metric.split(" ")[0] for metric in as_text(plain(r)).splitlines() if metric[0] != "#"} for r in reports
    )
    assert len(first) == len(second) > 10
    assert not first & second
    assert all('bridge="bridge-1"' in series for series in first)
    assert [own_line(r).split(" ")[0] for r in reports] == [
        "bridge,bridge=bridge-1,site=home",
        "bridge,bridge=bridge-2,site=home",
    ]


def test_a_clock_that_is_set_is_noticed() -> None:
    clock = Stepped()
    watch = ClockWatch(clock)
    assert abs(watch.step_s()) < 0.5
    clock.ahead_s = -3600.0
    assert watch.step_s() == pytest.approx(-3600, abs=0.5)


def test_prometheus_reads_the_endpoint_and_every_metric_is_described(folder: Path) -> None:
    reporter = Reporter(folder, "gateway", lambda: a_report(folder), Metrics(True, "127.0.0.1", 0))
    reporter.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{reporter.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{reporter.port}/", timeout=30)
        wait_until("a status file", lambda: read(folder, "gateway") is not None)
    finally:
        reporter.close()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    assert {s.labels["hop"] for s in families["tiltline_queued"].samples} == {"pipeline", "store", "mqtt"}
    assert all(s.value == 0 for s in families["tiltline_unaccounted"].samples)
    assert families["tiltline_sensor_battery_percent"].samples[0].value == 37
    assert families["tiltline_received"].type == "counter"
    refusals = {(s.labels["door"], s.labels["reason"]): s.value for s in families["tiltline_refused"].samples}
    assert refusals == {("command", "expired"): 1, ("command", "signature"): 2}
    assert {name for f in families.values() for name in {s.name for s in f.samples}} <= set(HELP)
    assert "w-001" not in text, "no wearer stands in the metrics"
    left = threading.enumerate()
    assert not any(t.name in ("status", "metrics") for t in left)


def test_label_values_are_escaped(folder: Path) -> None:
    report = plain(a_report(folder)) | {"gateway": 'a"b\\c\nd'}
    families = list(text_string_to_metric_families(as_text(report)))
    assert {s.labels["gateway"] for f in families for s in f.samples} == {'a"b\\c\nd'}
