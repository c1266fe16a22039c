"""A wearer taken out of the broker and the database, and looked for there.

Broker: retained messages under any of her topics, and what it keeps for the bridge's session (`drain`). Database: all points
with her tag, through InfluxDB 2's delete interface or, where there is none (InfluxDB 1), by InfluxQL.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

from sensor_gateway.bridge.bridge import Bridge
from sensor_gateway.config import Influx, Settings
from sensor_gateway.mqtt_link import Link, LinkError, LinkSettings
from sensor_gateway.privacy.sqlite_files import mentions
from sensor_gateway.wire import topics

QUIET_S: Final = 1.5
DRAIN_S: Final = 120.0
FIRST: Final = "1970-01-01T00:00:00Z"
LAST: Final = "2200-01-01T00:00:00Z"


class RemoteError(Exception):
    """Broker or database cannot be cleared; the text says why and what to do."""


def retained(settings: Settings, base: Path, wearer: str) -> list[str]:
    """Topics with a retained message of the wearer, as far as this account may read; raises `LinkError`."""
    word = mentions(wearer)
    link = Link.connect(_link(settings, base, (f"{topics.ROOT}/#",)))
    found: list[str] = []
    try:
        until = time.monotonic() + QUIET_S
        while time.monotonic() < until:
            heard = link.poll(0.1).messages
            for message in heard:
                link.acknowledge(message)
                if message.retain and (word.search(message.topic.encode()) or word.search(message.payload)):
                    found.append(message.topic)
                    until = time.monotonic() + QUIET_S
    finally:
        link.close()
    return sorted(set(found))


def clear(settings: Settings, base: Path, found: list[str]) -> None:
    """Publish empty retained messages there; what this account may not write stays, and `retained` shows it."""
    link = Link.connect(_link(settings, base, ()))
    try:
        waiting = {link.publish(topic, b"", retain=True) for topic in found}
        until = time.monotonic() + 10
        while waiting and time.monotonic() < until:
            heard = link.poll(0.1)
            waiting -= {*heard.published, *(refused.mid for refused in heard.refused)}
    finally:
        link.close()


def _link(settings: Settings, base: Path, subscribe: tuple[str, ...]) -> LinkSettings:
    return LinkSettings(settings.mqtt, base, f"tiltline-erase-{secrets.token_hex(4)}", subscribe)


def drain(settings: Settings, base: Path) -> None:
    """Let the bridge take what the broker keeps for it, so that nothing of the wearer comes after the erasure.

    Raises `RemoteError` where the broker does not answer, `QueueError` where a bridge runs.
    """
    bridge = Bridge(settings, base)
    stop = threading.Event()
    worker = threading.Thread(target=bridge.run, args=(stop,), name="drain", daemon=True)
    worker.start()
    try:
        end = time.monotonic() + DRAIN_S
        seen, since = -1, time.monotonic()
        while bridge.trouble is not None or time.monotonic() - since < QUIET_S:
            if time.monotonic() > end:
                raise RemoteError(
                    f"the broker still has messages for the bridge or does not answer ({bridge.trouble or 'more arrive'}); "
                    "stop the gateways that send and start again"
                )
            counters = bridge.queue.counters()
            taken = counters["received"] + counters["duplicates"]
            if taken != seen or bridge.trouble is not None:
                seen, since = taken, time.monotonic()
            time.sleep(0.1)
    finally:
        stop.set()
        worker.join(30)


class Database:
    """The InfluxDB of the settings, with a token that may read and delete."""

    def __init__(self, settings: Influx, token: str) -> None:
        self._settings, self._token = settings, token

    def points(self, wearer: str) -> int:
        """Points with the wearer's tag, of all measurements; raises `RemoteError`."""
        quoted = wearer.replace("'", "")
        answer = self._ask(f"SELECT count(*) FROM /.*/ WHERE \"wearer\" = '{quoted}'")
        total = 0
        for series in answer["results"][0].get("series", []):
            for row in series["values"]:
                # A count for each field: the points are at least as many as the fullest one.
                total += max((n for n in row[1:] if isinstance(n, int)), default=0)
        return total

    def erase(self, wearer: str) -> None:
        """Delete every point with the wearer's tag; raises `RemoteError`."""
        s = self._settings
        where = urllib.parse.urlencode({"org": s.org, "bucket": s.bucket})
        body = json.dumps({"start": FIRST, "stop": LAST, "predicate": f'wearer="{wearer}"'}).encode()
        status, said = self._send("POST", f"/api/v2/delete?{where}", body)
        if status in (404, 405, 501):  # InfluxDB 1
            self._ask(f"DROP SERIES WHERE \"wearer\" = '{wearer}'", post=True)
        elif status not in (200, 204):
            raise RemoteError(self._refusal(status, said))

    def _ask(self, query: str, post: bool = False) -> dict[str, Any]:
        fields = urllib.parse.urlencode({"db": self._settings.bucket, "epoch": "ns", "q": query})
        status, said = self._send("POST" if post else "GET", f"/query?{fields}", b"" if post else None)
        try:
            answer: dict[str, Any] = json.loads(said)
        except ValueError:
            answer = {}
        error = answer.get("error") or answer.get("message") or next(
            (r["error"] for r in answer.get("results", []) if "error" in r), None
        )  # fmt: skip
        if status != 200 or error or "results" not in answer:
            raise RemoteError(self._refusal(status, str(error or said[:200])))
        return answer

    def _refusal(self, status: int, said: str) -> str:
        hint = ""
        if status in (401, 403):
            hint = "; the bridge's own token may only write: give one that may read and delete with --influx-token-file"
        return f"{self._settings.url} answers {status} ({said}){hint}"

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, str]:
        url = self._settings.url.rstrip("/") + path
        if not url.startswith(("http://", "https://")):
            raise RemoteError(f"key 'influx.url' is {self._settings.url!r}; use http:// or https://")
        headers = {"Authorization": f"Token {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, data=body, method=method, headers=headers)  # noqa: S310 - scheme checked above
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
                return int(answer.status), answer.read().decode(errors="replace")
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(errors="replace")
        except OSError as e:
            raise RemoteError(f"{self._settings.url} does not answer ({e}); start it and try again") from e


__all__ = ["Database", "LinkError", "RemoteError", "clear", "drain", "retained"]
