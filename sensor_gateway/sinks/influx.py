"""Writes line protocol to InfluxDB and tells apart what the server means: stored, bad point, not now, wrong set-up.

Synchronous writes through influxdb-client's `/api/v2/write`. A batch the server refuses for its content is halved until the
bad lines stand alone, so that one bad point never costs its neighbours. Lines are idempotent: any part of a batch may be
sent again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from sensor_gateway.config import Influx
from sensor_gateway.sinks.influx_admin import one_line
from sensor_gateway.wire.line import Queued

_CONTENT: Final = (400, 413, 422)
_SETUP: Final = {
    401: "the token is not accepted; check 'influx.token_file'",
    403: "the token may not write this bucket; give it write access",
    404: "there is no such bucket or address; check 'influx.bucket' and 'influx.url'",
}
_POINT_FAULT: Final = re.compile(
    r"pars|type conflict|partial write|beyond retention|outside.{0,20}retention|too large|invalid (field|tag|timestamp)",
    re.IGNORECASE,
)


class InfluxDownError(Exception):
    """The database does not take anything now; ``retry_after_s`` is what it asked for (0: it did not)."""

    def __init__(self, text: str, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Outcome:
    """Row ids the database has, and row ids it will never take, with its reason."""

    written: list[int] = field(default_factory=list)
    rejected: list[tuple[int, str]] = field(default_factory=list)


class InfluxWriter:
    """One connection pool to one bucket."""

    def __init__(self, settings: Influx, token: str) -> None:
        self._settings = settings
        self._client: Any = InfluxDBClient(
            settings.url,
            token,
            org=settings.org,
            timeout=round(settings.timeout_s * 1000),
            enable_gzip=True,
            retries=False,  # pauses and repeats are ours: the client's own would drop what it gives up on
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def close(self) -> None:
        self._client.close()

    def check(self) -> None:
        """Ask with an empty batch whether address, bucket and token will do; raises `InfluxDownError`."""
        self._send([])

    def write(self, rows: Sequence[Queued]) -> Outcome:
        """Write a batch; raises `InfluxDownError` where nothing can be said about any row."""
        outcome = Outcome()
        self._write(rows, outcome)
        faults = [reason for _, reason in outcome.rejected]
        if faults and not outcome.written and not any(map(_POINT_FAULT.search, faults)):
            # Everything refused, and not for a reason that lies in a point: then it is the server that is not right.
            raise InfluxDownError(
                f"{self._settings.url} refuses every point ({faults[0]}); check the bucket's settings"
            )
        return outcome

    def _write(self, rows: Sequence[Queued], outcome: Outcome) -> None:
        reason = self._send(rows)
        if reason is None:
            outcome.written += [row.id for row in rows]
        elif len(rows) == 1:
            outcome.rejected.append((rows[0].id, reason))
        else:
            half = len(rows) // 2
            self._write(rows[:half], outcome)
            self._write(rows[half:], outcome)

    def _send(self, rows: Sequence[Queued]) -> str | None:
        """None where the server has stored all rows, its reason where it objects to their content."""
        where = self._settings.url
        body = "\n".join(row.line for row in rows)
        try:
            self._api.write(self._settings.bucket, self._settings.org, body)
        except ApiException as e:
            status = int(e.status or 0)
            said = _said(e)
            if status in _CONTENT:
                return said or f"refused with status {status}"
            if status in _SETUP:
                raise InfluxDownError(f"{where}: {_SETUP[status]} ({said})") from e
            raise InfluxDownError(f"{where} answers {status} ({said or e.reason})", _retry_after_s(e)) from e
        except (InfluxDBError, HTTPError, OSError) as e:
            text = str(e).splitlines()[0] if str(e) else type(e).__name__
            raise InfluxDownError(f"{where} does not answer ({text}); start it or correct 'influx.url'") from e
        return None


def _said(error: ApiException) -> str:
    """The server's own sentence: ``message`` in InfluxDB 2 and 3, ``error`` in 1."""
    body = error.body if isinstance(error.body, str) else ""
    try:
        answer = json.loads(body)
    except ValueError:
        return one_line(body)
    said = answer.get("message") or answer.get("error") if isinstance(answer, dict) else None
    return str(said or body)[:400]


def _retry_after_s(error: ApiException) -> float:
    """`Retry-After` in seconds, given as a number or as a date; 0 where there is none."""
    headers: Mapping[str, str] = error.headers or {}
    value = headers.get("Retry-After")
    if value is None:
        return 0.0
    try:
        return min(max(float(value), 0.0), 3600.0)
    except ValueError:
        pass
    try:
        return min(max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0), 3600.0)
    except (ValueError, TypeError):
        return 0.0
