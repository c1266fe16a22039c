"""A real InfluxDB that holds a store's records, for exports that must give the same from either."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from processing.types import DeviceReport, Epoch, Event, Metric
from sensor_gateway.sinks.store import Store
from sensor_gateway.wire.line import line
from tests.integration.servers import Influxd, need


@contextmanager
def influxd_in(folder: Path) -> Iterator[Influxd]:
    """A running server with an empty database; skips where there is none on this machine."""
    need("influxd")
    influxd = Influxd(folder)
    influxd.start()
    try:
        influxd.create("tiltline")
        yield influxd
    finally:
        influxd.stop()


def send(influxd: Influxd, store: Store, site: str, rename: Callable[[str], str] = lambda wearer: wearer) -> None:
    """Write all records of the store as the bridge writes them."""
    lines = []
    for wearer in store.wearers():
        for kind, build in (("metric", Metric), ("epoch", Epoch), ("event", Event), ("device", DeviceReport)):
            for page in store.columns(kind, wearer):
                sensors = page.pop("sensor")
                if kind == "event":
                    page["data"] = [json.loads(str(text)) for text in page["data"]]
                cells = zip(*page.values(), strict=True)
                lines += [line(site, rename(wearer), str(s), build(*c)) for s, c in zip(sensors, cells, strict=True)]
    urlopen(
        Request(f"http://127.0.0.1:{influxd.port}/write?db=tiltline&precision=ns", "\n".join(lines).encode())
    ).close()
