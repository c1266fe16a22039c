"""The newest part of a sensor's journal, read beside a running gateway: for `tiltline sensors` and `tiltline capture`."""

from __future__ import annotations

from typing import Final

from sensor_gateway.spool.block import Logged
from sensor_gateway.spool.journal import CONTROL, JournalReader, Rows

_CHUNK: Final = 3000


def journal_tail(rows: Rows, sensor: str, span_ns: int, most: int = 200_000) -> list[Logged]:
    """Entries that arrived within ``span_ns`` of the newest payload, at most ``most``, in order; empty where there are none.

    Read backwards from the end, so that a year's journal costs no more than an hour's.
    """
    newest = rows.query("SELECT max(last_seq), max(last_rx_utc_ns) FROM journal WHERE sensor = ?", (sensor,))[0]
    if newest[0] is None:
        return []
    last, last_utc_ns = int(newest[0]), int(newest[1])
    oldest = int(rows.query("SELECT min(first_seq) FROM journal WHERE sensor = ?", (sensor,))[0][0])
    since_ns, reach = last_utc_ns - span_ns, _CHUNK
    while True:
        first = max(oldest, last - reach)
        entries = [e for part in JournalReader(rows).read(sensor, first) for e in part]
        before = next((e.received.rx_utc_ns for e in entries if e.source != CONTROL), last_utc_ns)
        if first == oldest or before < since_ns or reach >= most:
            break
        reach *= 4
    return [e for e in entries if e.received.rx_utc_ns >= since_ns][-most:]
