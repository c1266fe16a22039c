"""The report as Prometheus text, and the small server that gives it to a scraper on this machine.

The format is a line a number; the numbers live in the spool, not in a client library's registry, and survive restarts there.
So the lines are written here (`docs/adr`), and a test reads them with Prometheus's own parser.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

NS: Final = 1_000_000_000
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
HELP: Final = {
    "tiltline_up": ("gauge", "1 while the process reports."),
    "tiltline_start_time_seconds": ("gauge", "When the process started, seconds since 1970."),
    "tiltline_received_total": ("counter", "Records or messages that came to this hop."),
    "tiltline_written_total": ("counter", "Those it has handed on or stored for good."),
    "tiltline_rejected": ("gauge", "Those set aside with a reason; a dead letter sent again leaves."),
    "tiltline_dropped_total": ("counter", "Those given up at a bound of size or age."),
    "tiltline_queued": ("gauge", "Those that wait."),
    "tiltline_unaccounted": ("gauge", "received - written - rejected - dropped - queued: 0 where the books balance."),
    "tiltline_lag_seconds": ("gauge", "How far the oldest waiting record lies behind the newest."),
    "tiltline_dead_letters": ("gauge", "Messages and lines the bridge could not write."),
    "tiltline_duplicates_total": ("counter", "Repeats recognised and left out."),
    "tiltline_disk_free_bytes": ("gauge", "Free space where the data lie."),
    "tiltline_memory_bytes": ("gauge", "Resident memory."),
    "tiltline_open_fds": ("gauge", "Open file descriptors."),
    "tiltline_dbus_connections": ("gauge", "Connections to the system's D-Bus."),
    "tiltline_clock_step_seconds": ("gauge", "How far the wall clock was set since the start."),
    "tiltline_clock_offset_seconds": ("gauge", "A gateway's clock ahead of the bridge's."),
    "tiltline_sensor_data_age_seconds": ("gauge", "Age of the sensor's newest payload."),
    "tiltline_sensor_battery_percent": ("gauge", "Charge the sensor last reported."),
    "tiltline_sensor_streaming": ("gauge", "1 while the sensor's connection streams."),
    "tiltline_refused_total": ("counter", "Refused at a door since the start: page, commands, messages; by reason."),
    "tiltline_trouble": ("gauge", "1 for each thing that troubles the process now."),
}
"""Every metric: its type and what it says."""
_VITALS: Final = ("disk_free_bytes", "memory_bytes", "open_fds", "dbus_connections")
Sample = tuple[str, dict[str, str], float]


def samples(report: dict[str, Any]) -> Iterator[Sample]:
    """The numbers of a report (`report.plain`) as (metric, labels, value)."""
    own = {"role": str(report["role"]), "site": str(report["site"]), "gateway": str(report["gateway"])}
    if report["role"] == "bridge":
        own["bridge"] = own["gateway"]  # one of several is found by its name, as in the database
    yield "tiltline_up", own, 1.0
    yield "tiltline_start_time_seconds", own, report["started_utc_ns"] / NS
    for name in _VITALS:
        if report["vitals"][name] is not None:
            yield f"tiltline_{name}", own, float(report["vitals"][name])
    yield "tiltline_clock_step_seconds", own, float(report["vitals"]["clock_step_s"])
    yield "tiltline_trouble", own, float(len(report["troubles"]))
    for hop in report["books"]["hops"]:
        labels = own | {"hop": hop["name"]}
        for name in ("received", "written", "dropped"):
            yield f"tiltline_{name}_total", labels, float(hop[name])
        for name in ("rejected", "queued"):
            yield f"tiltline_{name}", labels, float(hop[name])
        yield "tiltline_unaccounted", labels, float(hop["missing"])
        yield "tiltline_lag_seconds", labels, float(hop["lag_s"])
    extra = report["books"]["extra"]
    if "dead_letters" in extra:
        yield "tiltline_dead_letters", own, float(extra["dead_letters"])
        yield "tiltline_duplicates_total", own, float(extra["duplicates"])
    for seen in report["books"]["sensors"]:
        labels = own | {"sensor": seen["sensor"]}
        yield "tiltline_sensor_data_age_seconds", labels, (report["t_utc_ns"] - seen["last_rx_utc_ns"]) / NS
        if seen["battery_percent"] is not None:
            yield "tiltline_sensor_battery_percent", labels, float(seen["battery_percent"])
    for sensor, link in report["links"].items():
        yield "tiltline_sensor_streaming", own | {"sensor": sensor}, float(link == "streaming")
    for door, kinds in report["refusals"].items():
        for kind, n in kinds.items():
            yield "tiltline_refused_total", own | {"door": door, "reason": kind}, float(n)
    for name, said in report["gateways"].items():
        if "clock_offset_s" in said:
            yield "tiltline_clock_offset_seconds", own | {"of": name}, float(said["clock_offset_s"])


def as_text(report: dict[str, Any]) -> str:
    """The whole page for a scraper: the samples of one metric stand together under its help."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value in samples(report):
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        by_name.setdefault(name, []).append(f"{name}{{{inside}}} {value!r}")
    lines = []
    for name, rows in by_name.items():
        kind, text = HELP[name]
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *rows]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class MetricsServer:
    """Answers `GET /metrics`, nothing else. Raises ``OSError`` where the address is taken."""

    def __init__(self, host: str, port: int, text: Callable[[], str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                if self.path != "/metrics":
                    self.send_error(404)
                    return
                try:
                    body = text().encode()
                except Exception:  # noqa: BLE001 - whatever goes wrong in collecting, a scraper must see a failure
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
                """Quiet: a scraper comes every few seconds."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
