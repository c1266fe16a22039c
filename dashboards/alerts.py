"""Grafana's alert rules as code: a client who does not wear the clip, data that stay away, rising pain, a low battery.

Each rule asks one InfluxQL query per wearer, takes the last value and holds it against a limit. Whom to tell (contact points and
policies) is the site's own business and is not provisioned here. The file is JSON, which is YAML.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Literal

from dashboards.influxql import DEVICE, EPOCH, EVENT, of_type, worn_hours
from dashboards.model import DATA_SOURCE, DATA_SOURCE_UID
from processing.types import Json

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Alert:
    """``query`` over the last ``window_s`` gives a series per wearer; its last value beside ``limit`` decides."""

    uid: str
    title: str
    text: str
    query: str
    window_s: int
    test: Literal["lt", "gt"]
    limit: float
    lasts: str = "0s"

    def to_json(self) -> Json:
        rest: list[Json] = [
            self._expression("B", {"type": "reduce", "expression": "A", "reducer": "last"}),
            self._expression(
                "C",
                {
                    "type": "threshold",
                    "expression": "B",
                    "conditions": [{"type": "query", "evaluator": {"type": self.test, "params": [self.limit]}}],
                },
            ),
        ]
        asked: Json = {
            "refId": "A",
            "relativeTimeRange": {"from": self.window_s, "to": 0},
            "datasourceUid": DATA_SOURCE_UID,
            "model": {
                "refId": "A",
                "datasource": DATA_SOURCE,
                "query": self.query,
                "rawQuery": True,
                "resultFormat": "time_series",
            },
        }
        return {
            "uid": self.uid,
            "title": self.title,
            "condition": "C",
            "data": [asked, *rest],
            "noDataState": "OK",
            "execErrState": "Error",
            "for": self.lasts,
            "annotations": {"summary": self.title, "description": self.text},
            "labels": {"product": "tiltline"},
        }

    def _expression(self, ref: str, model: dict[str, Json]) -> Json:
        return {
            "refId": ref,
            "datasourceUid": "__expr__",
            "relativeTimeRange": {"from": self.window_s, "to": 0},
            "model": {"refId": ref, **model},
        }


def _per_wearer(source: str, value: str, every: str = "", where: str = "") -> str:
    """Without the dashboards' choices: an alert looks at everybody. An absent bucket is what these alerts are about, hence 0."""
    groups = f'time({every}), "wearer" fill(0)' if every else '"wearer"'
    condition = f" AND {where}" if where else ""
    return f'SELECT {value} AS "value" FROM "{source}" WHERE $timeFilter{condition} GROUP BY {groups}'


ALERTS: Final = (
    Alert(
        "tiltline-not-wearing",
        "A client hardly wears the clip",
        "Under two hours worn in a day, of somebody seen in the last week. Asking how it goes may help.",
        _per_wearer("epoch", worn_hours(), "1d"),
        7 * DAY_S,
        "lt",
        2.0,
        "18h",  # a day has only begun in the morning
    ),
    Alert(
        "tiltline-data-stale",
        "Nothing has come from a client's clip",
        "No minute received for two days, of somebody seen in the last two weeks: charge, range or the gateway.",
        _per_wearer("epoch", f"sum({EPOCH.field('coverage')})", "2d"),
        14 * DAY_S,
        "lt",
        0.01,
        "24h",
    ),
    Alert(
        "tiltline-pain-rising",
        "A client's pain is above its mean",
        "The newest entry is more than two above the mean of two weeks. Please talk with the client.",
        _per_wearer("event", f"{EVENT.call('last', 'pain')} - {EVENT.call('mean', 'pain')}", where=of_type("pain")),
        14 * DAY_S,
        "gt",
        2.0,
    ),
    Alert(
        "tiltline-battery-low",
        "A client's clip needs charging",
        "The newest charge reported is below 20 %.",
        _per_wearer("device", DEVICE.call("last", "battery_percent")),
        DAY_S,
        "lt",
        20.0,
    ),
)


def alert_file() -> str:
    """The provisioning file."""
    rules: list[Json] = [alert.to_json() for alert in ALERTS]
    group: Json = {"orgId": 1, "name": "Tiltline", "folder": "Tiltline", "interval": "5m", "rules": rules}
    return json.dumps({"apiVersion": 1, "groups": [group]}, indent=2, ensure_ascii=False) + "\n"
