"""Records read back out of InfluxDB, as columns and in the order in which the embedded store gives them: for exports.

What `wire.line` wrote comes back as it was: numbers by the dictionary's types, an event's data as its JSON text. Only points of one
site are seen. Memory holds a quarter of a day of one wearer's seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from processing.dictionary import KINDS, MEASUREMENT
from processing.types import NS_PER_S
from sensor_gateway.sinks.influx_admin import Database, RemoteError
from sensor_gateway.sinks.records import FAR_NS, PAGE, Cell

DAY_NS: Final = 86_400 * NS_PER_S
_PIECE_NS: Final = DAY_NS // 4
_DATA: Final = "data_json"  # the one column that has another name in the database


class InfluxRecords:
    """The records of one site in the database; reads as `Store` does."""

    def __init__(self, database: Database, site: str) -> None:
        self._database, self._site = database, site
        self.path = database.name

    def wearers(self) -> list[str]:
        """Wearers with any record, sorted; raises `RemoteError`."""
        measurements = ", ".join(f'"{MEASUREMENT[kind]}"' for kind in KINDS)
        rows = self._rows(f'SHOW TAG VALUES FROM {measurements} WITH KEY = "wearer" WHERE "site" = \'{self._site}\'')
        return sorted({row["value"] for row in rows})

    def days(self, kind: str, wearer: str, t0_ns: int = 0, t1_ns: int = FAR_NS) -> dict[int, str]:
        """UTC days (since 1970) that hold records, each with a word that changes when its records do: their number."""
        of = self._of(kind, wearer, t0_ns, t1_ns)
        ends = [self._rows(f"SELECT * {of} ORDER BY time {way} LIMIT 1") for way in ("ASC", "DESC")]
        if not ends[0]:
            return {}
        (first,), (last,) = ends
        span = self._of(kind, wearer, max(t0_ns, first["time"]), min(t1_ns, last["time"] + 1))
        counted = self._rows(f"SELECT count(*) {span} GROUP BY time(1d) fill(none)")
        # A count for each field: the points are as many as the fullest one.
        found = {row["time"] // DAY_NS: max(n or 0 for name, n in row.items() if name != "time") for row in counted}
        return {day: str(n) for day, n in sorted(found.items()) if n}

    def count(self, kind: str, wearer: str, t0_ns: int = 0, t1_ns: int = FAR_NS) -> int:
        """How many records `columns` would give."""
        return sum(map(int, self.days(kind, wearer, t0_ns, t1_ns).values()))

    def columns(
        self, kind: str, wearer: str, t0_ns: int = 0, t1_ns: int = FAR_NS, page: int = PAGE
    ) -> Iterator[dict[str, list[Cell]]]:
        """As `Store.columns`, in pages of at most ``page`` rows; raises `RemoteError`."""
        names = ["sensor", *(f.name for f in KINDS[kind])]
        tie = "event_id" if kind == "event" else "sensor"
        for day in self.days(kind, wearer, t0_ns, t1_ns):
            for start in range(day * DAY_NS, (day + 1) * DAY_NS, _PIECE_NS):
                low, high = max(start, t0_ns), min(start + _PIECE_NS, t1_ns)
                if low >= high:
                    continue
                rows = [_cells(kind, row) for row in self._rows(self._select(kind, wearer, low, high))]
                rows.sort(key=lambda row: (row["t_utc_ns"], row[tie]))
                for i in range(0, len(rows), page):
                    yield {name: [row[name] for row in rows[i : i + page]] for name in names}

    def _select(self, kind: str, wearer: str, t0_ns: int, t1_ns: int) -> str:
        columns = [_DATA if f.type == "json" else f.name for f in KINDS[kind] if f.name != "t_utc_ns"]
        quoted = ", ".join(f'"{name}"' for name in (*columns, "sensor"))
        return f"SELECT {quoted} {self._of(kind, wearer, t0_ns, t1_ns)}"

    def _of(self, kind: str, wearer: str, t0_ns: int, t1_ns: int) -> str:
        whose = f"\"site\" = '{self._site}' AND \"wearer\" = '{_id(wearer)}'"
        return f'FROM "{MEASUREMENT[kind]}" WHERE {whose} AND time >= {t0_ns} AND time < {t1_ns}'

    def _rows(self, query: str) -> list[dict[str, Any]]:
        answer = self._database.ask(query)
        return [
            dict(zip(series["columns"], values, strict=True))
            for series in answer["results"][0].get("series", [])
            for values in series["values"]
        ]


def _id(wearer: str) -> str:
    """A pseudonym as it stands in a query: what could end the quotes is no pseudonym."""
    if "'" in wearer or "\\" in wearer:
        raise RemoteError(f"{wearer!r} is no pseudonym; use 1-32 small letters, digits and '-'")
    return wearer


def _cells(kind: str, row: dict[str, Any]) -> dict[str, Cell]:
    cells: dict[str, Cell] = {"sensor": row["sensor"]}
    for f in KINDS[kind]:
        value = row["time"] if f.name == "t_utc_ns" else row[_DATA if f.type == "json" else f.name]
        if f.type == "float64" and value is not None:
            value = float(value)  # JSON writes 3.0 as 3
        cells[f.name] = None if value == "" and f.null_means else value  # a tag that a point has not reads as ""
    return cells
