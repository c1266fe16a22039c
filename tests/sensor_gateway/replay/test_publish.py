"""The retro series in the database: named apart from the live ones, replaced over the time they cover, refusals counted."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlparse

import pytest

from processing.dictionary import KINDS
from processing.types import Event
from sensor_gateway import cli
from sensor_gateway.config import Influx
from sensor_gateway.replay.publish import Published, publish, publish_all
from sensor_gateway.sinks.base import Owned
from sensor_gateway.sinks.influx import InfluxDownError, InfluxWriter
from sensor_gateway.sinks.influx_admin import Database, RemoteError
from sensor_gateway.sinks.store import Store

T_NS = 1_790_000_000_000_000_000


class Influx2(ThreadingHTTPServer):
    """The two doors of an InfluxDB 2 that are used; ``bad``: a word that no line may hold."""

    def __init__(self) -> None:
        self.deleted: list[dict[str, str]] = []
        self.lines: list[str] = []
        self.bad, self.status = "", 204
        super().__init__(("127.0.0.1", 0), _Door)

    @property
    def influx(self) -> Influx:
        return Influx(url=f"http://127.0.0.1:{self.server_address[1]}", batch=2)


class _Door(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        s = cast("Influx2", self.server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        url, status, said = urlparse(self.path), s.status, b""
        assert parse_qs(url.query)["bucket"] == ["tiltline"]
        if url.path == "/api/v2/delete":
            s.deleted.append(json.loads(body))
        elif s.bad and s.bad in body.decode():
            status, said = 422, b'{"message": "partial write: points beyond retention policy dropped"}'
        else:
            s.lines += body.decode().splitlines()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Influx2]:
    s = Influx2()
    thread = threading.Thread(target=s.serve_forever)
    thread.start()
    yield s
    s.shutdown()
    thread.join()
    s.server_close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    s = Store.open(tmp_path / "retro.db")
    for wearer, sensor, seconds in (
        ("w-001", "clip-1", (0, 5, 9)),
        ("w-001", "clip-2", (3,)),
        ("w-002", "clip-3", (1,)),
    ):
        s.write(
            Owned(wearer, sensor, Event(T_NS + n * 10**9, f"{sensor}-{n}", "device_event", None, {"n": n}))
            for n in seconds
        )
    yield s
    s.close()


def put(server: Influx2, store: Store, wearer: str = "w-001") -> Published:
    writer = InfluxWriter(server.influx, "token")
    try:
        return publish(store, "home", wearer, Database(server.influx, "token"), writer, 2)
    finally:
        writer.close()


def test_each_sensors_span_is_deleted_first_and_nothing_of_others(server: Influx2, store: Store) -> None:
    assert put(server, store) == Published(4, 0, "")
    assert all(line.startswith("event_retro,") and ",source=retro," in line for line in server.lines)
    assert len(server.lines) == 4
    spans = {(d["predicate"], d["start"], d["stop"]) for d in server.deleted}
    assert len(server.deleted) == len(spans) == 2 * len(KINDS)
    whole = '_measurement="tilt_retro" AND wearer="w-001" AND sensor="clip-1" AND source="retro"'
    assert (whole, "2026-09-21T14:13:20.000000000Z", "2026-09-21T14:13:29.000000001Z") in spans
    assert not any("w-002" in d["predicate"] for d in server.deleted)


def test_a_named_derivation_lies_beside_the_nightly_one(server: Influx2, store: Store) -> None:
    done = publish_all(store, "home", server.influx, "token", "stricter-retro")
    assert done.written == 5
    assert all("_retro," in line and ",source=stricter-retro," in line for line in server.lines)
    assert all(d["predicate"].endswith('AND source="stricter-retro"') for d in server.deleted)


def test_points_that_the_database_never_takes_are_counted_with_its_reason(server: Influx2, store: Store) -> None:
    server.bad = "clip-2"
    done = put(server, store)
    assert (done.written, done.rejected) == (3, 1)
    assert "retention" in done.reason


def test_a_database_that_refuses_says_why(server: Influx2, store: Store) -> None:
    server.status = 401
    with pytest.raises(RemoteError, match="401"):
        put(server, store)
    closed = Influx(url="http://127.0.0.1:9")
    with pytest.raises((RemoteError, InfluxDownError), match="does not answer"):
        publish(store, "home", "w-001", Database(closed, ""), InfluxWriter(closed, ""), 2)


def test_the_command_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[site]\ndata_dir = "data"\n')
    for words, said in (
        (["--influx"], "add --mode retro"),
        ([], "no journal there"),
    ):
        assert cli.main(["replay", "--config", str(config), *words]) == 1
        assert said in capsys.readouterr().err
