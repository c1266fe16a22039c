"""What an InfluxDB is asked besides writing points: to count and to delete, with a token that may.

Used where a wearer is erased, and where derived series are replaced (`replay.publish`). Works on InfluxDB 2 (delete interface,
InfluxQL through its v1 endpoint) and on InfluxDB 1.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from typing import Any, Final

from processing.types import NS_PER_S
from sensor_gateway.config import Influx

FIRST: Final = "1970-01-01T00:00:00Z"
LAST: Final = "2200-01-01T00:00:00Z"
_PASSING: Final = (502, 503, 504)
_TAG: Final = re.compile(r"<[^>]*>")


class RemoteError(Exception):
    """Broker or database cannot be asked or cleared; the text says why and what to do."""


class Database:
    """The InfluxDB of the settings, with a token that may read and delete."""

    def __init__(self, settings: Influx, token: str) -> None:
        self._settings, self._token = settings, token
        self.name = f"{settings.url} ({settings.bucket})"

    def points(self, wearer: str) -> int:
        """Points with the wearer's tag, of all measurements; raises `RemoteError`."""
        quoted = wearer.replace("'", "")
        answer = self.ask(f"SELECT count(*) FROM /.*/ WHERE \"wearer\" = '{quoted}'")
        total = 0
        for series in answer["results"][0].get("series", []):
            for row in series["values"]:
                # A count for each field: the points are at least as many as the fullest one.
                total += max((n for n in row[1:] if isinstance(n, int)), default=0)
        return total

    def bridges(self, site: str) -> list[str]:
        """Names of the bridges that wrote of themselves (`STATE_TAGS`); raises `RemoteError`."""
        answer = self.ask(f'SHOW TAG VALUES FROM "bridge" WITH KEY = "bridge" WHERE "site" = \'{site}\'')
        return [row[1] for series in answer["results"][0].get("series", []) for row in series["values"]]

    def erase(self, wearer: str) -> None:
        """Delete every point with the wearer's tag; raises `RemoteError`."""
        self._delete(FIRST, LAST, f'wearer="{wearer}"', f"DROP SERIES WHERE \"wearer\" = '{wearer}'")

    def clear(self, measurement: str, wearer: str, sensor: str, source: str, first_ns: int, last_ns: int) -> None:
        """Delete the points of one measurement, wearer, sensor and source from ``first_ns`` to ``last_ns``; raises `RemoteError`."""
        self._delete(
            _rfc3339(first_ns),
            _rfc3339(last_ns + 1),
            f'_measurement="{measurement}" AND wearer="{wearer}" AND sensor="{sensor}" AND source="{source}"',
            f'DELETE FROM "{measurement}" WHERE "wearer" = \'{wearer}\' AND "sensor" = \'{sensor}\' '
            f"AND \"source\" = '{source}' AND time >= {first_ns} AND time <= {last_ns}",
        )

    def _delete(self, start: str, stop: str, predicate: str, influxql: str) -> None:
        """By InfluxDB 2's delete interface or, where there is none (InfluxDB 1), by InfluxQL."""
        where = urllib.parse.urlencode({"org": self._settings.org, "bucket": self._settings.bucket})
        body = json.dumps({"start": start, "stop": stop, "predicate": predicate}).encode()
        status, said = self._send("POST", f"/api/v2/delete?{where}", body)
        if status in (404, 405, 501):
            self.ask(influxql, post=True)
        elif status not in (200, 204):
            raise RemoteError(self._refusal(status, said))

    def ask(self, query: str, post: bool = False) -> dict[str, Any]:
        """What one InfluxQL statement answers, times in nanoseconds; raises `RemoteError`."""
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
            raise RemoteError(self._refusal(status, str(error or said)))
        return answer

    def _refusal(self, status: int, said: str) -> str:
        hint = ""
        if status in (401, 403):
            hint = (
                "; name a token that may read and delete (the bridge's may only write): 'influx.token_file' of the file "
                "given, or --influx-token-file of 'tiltline erase'"
            )
        elif status in _PASSING:
            hint = "; it does not run, or not yet: start it and try again"
        return f"{self._settings.url} answers {status} ({one_line(said) or 'no reason given'}){hint}"

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


def one_line(said: str) -> str:
    """What a server said, without a proxy's HTML."""
    return " ".join(_TAG.sub(" ", said).split())[:200]


def _rfc3339(t_utc_ns: int) -> str:
    seconds, ns = divmod(t_utc_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"
