"""What a running process says of itself: its books (`status/status.py`), its vital signs, and what troubles it.

A thread writes `status.json` into the data folder every few seconds, whole or not at all, and serves the same as Prometheus
text where that is switched on (`status/metrics_endpoint.py`). `tiltline status` reads the file, so it needs no port and no
permission but the folder's.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from sensor_gateway.clock import Clock
from sensor_gateway.config import Metrics
from sensor_gateway.status.metrics_endpoint import MetricsServer, as_text
from sensor_gateway.status.status import NS, Books, StatusError

log = logging.getLogger(__name__)

REPORT_FILE: Final = "status-{role}.json"
EVERY_S: Final = 5.0
FRESH_S: Final = 20.0
"""A report older than this was left behind by a process that is gone or stands still."""
REFUSED: Final = "refused_"
_DBUS: Final = "/dbus/system_bus_socket"


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the machine says of this process; None where it does not say."""

    disk_free_bytes: int
    memory_bytes: int | None
    open_fds: int | None
    dbus_connections: int | None
    clock_step_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """One process at one moment."""

    role: str
    site: str
    gateway: str
    pid: int
    started_utc_ns: int
    t_utc_ns: int
    vitals: Vitals
    books: Books
    troubles: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)  # sensor to the state of its connection
    gateways: dict[str, dict[str, float]] = field(default_factory=dict)  # a bridge: what its gateways last said
    refusals: dict[str, dict[str, int]] = field(default_factory=dict)  # door to kind to how many since the start


class ClockWatch:
    """How far the wall clock was set since the start: it should run beside the monotonic one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ns = clock.utc_ns() - clock.mono_ns()

    def step_s(self) -> float:
        return round((self._clock.utc_ns() - self._clock.mono_ns() - self._offset_ns) / NS, 3)


def vitals(folder: Path, watch: ClockWatch) -> Vitals:
    """The vital signs of this process; ``folder`` is on the disk that matters."""
    return Vitals(shutil.disk_usage(folder).free, _memory(), *_descriptors(), watch.step_s())


def numbers(signs: Vitals, lag_s: float, refusals: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """A report's numbers for the status over MQTT; what was refused as `refused_DOOR_KIND`."""
    found = {name: float(n) for name, n in asdict(signs).items() if n is not None} | {"lag_s": lag_s}
    return found | {f"{REFUSED}{door}_{kind}": float(n) for door, by in refusals.items() for kind, n in by.items()}


def _memory() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _descriptors() -> tuple[int | None, int | None]:
    """Open descriptors, and how many of them are connections to the system's D-Bus: both leak before they run out."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - names only, a thousand of them
    except (OSError, ValueError):
        return None, None
    return len(numbers), sum(map(_is_dbus, numbers))


def _is_dbus(number: int) -> bool:
    with suppress(OSError, ValueError):
        if str(Path(f"/proc/self/fd/{number}").readlink()).startswith("socket:"):
            # A duplicate: closing it leaves the connection itself alone.
            with socket.socket(fileno=os.dup(number)) as twin:
                return twin.family == socket.AF_UNIX and str(twin.getpeername()).endswith(_DBUS)
    return False


class Reporter:
    """The thread that writes and serves reports; ``collect`` gives the present one."""

    def __init__(self, folder: Path, role: str, collect: Callable[[], Report], metrics: Metrics) -> None:
        """Raises ``OSError`` where the endpoint's address is taken."""
        self._path, self._collect = folder / REPORT_FILE.format(role=role), collect
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)
        self._server = (
            MetricsServer(metrics.host, metrics.port, lambda: as_text(plain(collect()))) if metrics.enabled else None
        )
        self._troubled = ""

    @property
    def port(self) -> int | None:
        """Where the endpoint listens."""
        return None if self._server is None else self._server.port

    def start(self) -> None:
        self._thread.start()
        if self._server is not None:
            self._server.start()

    def close(self) -> None:
        self._stop.set()
        if self._server is not None:
            self._server.close()
        self._thread.join(EVERY_S)

    def _run(self) -> None:
        while True:
            try:
                write(self._path, self._collect())
                self._troubled = ""
            except (OSError, StatusError) as e:
                # A full disk must not cost the thread; the books are safe in their own files.
                if str(e) != self._troubled:
                    log.warning("status: %s", e)
                self._troubled = str(e)
            if self._stop.wait(EVERY_S):
                return


def plain(report: Report) -> dict[str, Any]:
    """The report as plain data, as in the file."""
    data = asdict(report)
    for hop, row in zip(report.books.hops, data["books"]["hops"], strict=True):
        row["missing"] = hop.missing
    return data


def write(path: Path, report: Report) -> None:
    """Put the report in the place of the last one, whole; not forced onto the disk, since the next comes in seconds."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(plain(report)), encoding="utf-8")
    fresh.replace(path)


def read(folder: Path, role: str) -> dict[str, Any] | None:
    """The last report a process left in ``folder``; None where there is none that can be read."""
    with suppress(OSError, ValueError):
        data = json.loads((folder / REPORT_FILE.format(role=role)).read_text(encoding="utf-8"))
        return data if isinstance(data, dict) else None
    return None
