"""InfluxQL text for panels: measurements and fields are looked up in the data dictionary, so none can be misspelt.

Only what InfluxDB 1, 2 (through its v1 endpoint) and 3 all answer is used: no Flux, no `MODE`, `INTEGRAL`, `SAMPLE`,
`HOLT_WINTERS`, `SLIMIT`, `SOFFSET`, `SHOW SERIES`, `SHOW DATABASES`. Empty time buckets are null (of counts: no row),
so missing is never zero. `$timeFilter`, `$__interval` and the dashboard variables are Grafana's and are filled in by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from processing.dictionary import EVENT_TYPES, INFLUX, MEASUREMENT, STATES, Field
from processing.types import POSTURES

WHO: Final = ('"site" =~ /^${site:regex}$/', '"wearer" =~ /^${wearer:regex}$/')
"""The conditions every panel shares: what the reader chose at the top of the dashboard."""

WORN_POSTURES: Final = tuple(p for p in POSTURES if p != "not_worn")


def dictionary_field(measurement: str, name: str) -> Field:
    """The dictionary's entry of a field; raises ValueError for a name that is not published."""
    for field in INFLUX[measurement].fields:
        if field.name == name:
            return field
    raise ValueError(f"no field {name!r} in measurement {measurement!r}; see processing/dictionary/influx.py")


class Source:
    """One measurement; its methods give the quoted expressions and whole queries."""

    def __init__(self, measurement: str) -> None:
        if measurement not in INFLUX:
            raise ValueError(f"no measurement {measurement!r}; known: {', '.join(sorted(INFLUX))}")
        self.measurement = measurement
        self._tags = INFLUX[measurement].tags
        # Machines belong to a site and to no wearer.
        self._who = WHO[:1] if measurement in STATES else WHO

    def field(self, name: str) -> str:
        """The quoted name of a published field."""
        return f'"{dictionary_field(self.measurement, name).name}"'

    def call(self, function: str, name: str, *arguments: int) -> str:
        """An aggregate or selector of one field, e.g. ``call("percentile", "tilt_median_deg", 5)``."""
        return f"{function}({', '.join([self.field(name), *map(str, arguments)])})"

    def series(
        self,
        columns: Mapping[str, str],
        *,
        every: str = "$__interval",
        by: Sequence[str] = (),
        where: Sequence[str] = (),
        local_days: bool = False,
    ) -> str:
        """Label → expression, per time bucket. ``local_days`` starts the buckets at the clock of the variable `timezone`,
        which is what makes a "day" the wearer's day.
        """
        for expression in columns.values():
            if "count(" in expression:
                raise ValueError("a count over time goes through counts(): fill(null) would show empty buckets as 0")
        return self._bucketed(columns, every, by, where, "null", local_days)

    def counts(
        self,
        label: str,
        name: str,
        *,
        every: str,
        by: Sequence[str] = (),
        where: Sequence[str] = (),
        local_days: bool = False,
    ) -> str:
        """Points per time bucket; a bucket without any gives no row (InfluxDB 1 counts it as 0 despite fill(null))."""
        return self._bucketed({label: self.call("count", name)}, every, by, where, "none", local_days)

    def latest(self, columns: Mapping[str, str], *, by: Sequence[str] = (), where: Sequence[str] = ()) -> str:
        """Label → expression over the whole time range, one row for each combination of the tags in ``by``."""
        grouping = f" GROUP BY {', '.join(self._grouping(by))}" if by else ""
        return f"{self._select(columns, where)}{grouping}"

    def points(self, columns: Mapping[str, str], *, where: Sequence[str] = ()) -> str:
        """Label → expression of fields, one row for each point."""
        return self._select(columns, where)

    def rows(self, names: Sequence[str], *, where: Sequence[str] = (), limit: int = 500) -> str:
        """The points themselves, newest first; ``names`` may hold tags."""
        quoted = [f'"{n}"' if n in self._tags else self.field(n) for n in names]
        return (
            f'SELECT {", ".join(quoted)} FROM "{self.measurement}" '
            f"WHERE $timeFilter AND {' AND '.join([*self._who, *where])} ORDER BY time DESC LIMIT {limit}"
        )

    def tag_values(self, tag: str, where: Sequence[str] = ()) -> str:
        """The query behind a dashboard variable."""
        self._grouping([tag])
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        return f'SHOW TAG VALUES FROM "{self.measurement}" WITH KEY = "{tag}"{condition}'

    def _bucketed(
        self,
        columns: Mapping[str, str],
        every: str,
        by: Sequence[str],
        where: Sequence[str],
        fill: Literal["null", "none"],
        local_days: bool,
    ) -> str:
        groups = [f"time({every})", *self._grouping(by)]
        zone = " tz('${timezone:raw}')" if local_days else ""
        return f"{self._select(columns, where)} GROUP BY {', '.join(groups)} fill({fill}){zone}"

    def source(self, *where: str) -> str:
        """What follows FROM: the measurement, and what the reader chose as the condition."""
        return f'"{self.measurement}" WHERE $timeFilter AND {" AND ".join([*self._who, *where])}'

    def _select(self, columns: Mapping[str, str], where: Sequence[str]) -> str:
        chosen = ", ".join(f'{expression} AS "{label}"' for label, expression in columns.items())
        return f"SELECT {chosen} FROM {self.source(*where)}"

    def _grouping(self, tags: Sequence[str]) -> list[str]:
        for tag in tags:
            if tag not in self._tags:
                raise ValueError(f"no tag {tag!r} on measurement {self.measurement!r}; known: {', '.join(self._tags)}")
        return [f'"{tag}"' for tag in tags]


TILT: Final = Source(MEASUREMENT["metric"])
EPOCH: Final = Source(MEASUREMENT["epoch"])
EVENT: Final = Source(MEASUREMENT["event"])
DEVICE: Final = Source(MEASUREMENT["device"])
RECEIVED: Final = f"{EPOCH.field('coverage')} > 0"
"""Minutes told as empty are no zero: a day of them alone has no cell."""
ON_FEET: Final = tuple(f"{EPOCH.field(f'{p}_s')} = 0" for p in ("sitting", "lying"))
"""Minutes spent on the feet alone: the tilt of sitting is the seat's, and mixed in it would only tell how long somebody sat."""
GATEWAY: Final = Source("gateway")
BRIDGE: Final = Source("bridge")


def of_type(*types: str) -> str:
    """The condition "is an event of one of these types"; raises ValueError for a type that is not published."""
    for name in types:
        if name not in EVENT_TYPES:
            raise ValueError(f"no event type {name!r}; known: {', '.join(EVENT_TYPES)}")
    return "(" + " OR ".join(f"\"type\" = '{name}'" for name in types) + ")"


def worn_hours() -> str:
    """Hours in which the sensor was received and worn. Summed from the seconds per posture and not from the share `wear`,
    which would count a minute of which only five seconds arrived as a whole one.
    """
    return f"({' + '.join(EPOCH.call('sum', f'{p}_s') for p in WORN_POSTURES)}) / 3600"


def unanswered() -> str:
    """Prompts less answers, per wearer; a wearer without any prompt has no row."""
    prompts = EVENT.latest({"n": EVENT.call("count", "event_id")}, by=("wearer",), where=(of_type("prompt"),))
    answers = EVENT.latest({"n": f"{EVENT.call('count', 'event_id')} * -1"}, by=("wearer",), where=(of_type("answer"),))
    return f"({prompts}), ({answers})"


def at_least(value: str, limit: float) -> str:
    """1 where the value reaches the limit, else 0. InfluxQL has no conditions: |y| - |y - 1| is 1 from y = 1 on, -1 up to 0.
    In floats: of a negative integer InfluxDB 1.6 gives a wrong absolute value.
    """
    above = f"floor(({value}) * 1.0 - {limit:g}) + 1"
    return f"(abs({above}) - abs({above} - 1) + 1) / 2"
