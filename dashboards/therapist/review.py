"""Review queue: flags with their evidence, the way to the page on which a therapist judges them, and what came of that."""

from __future__ import annotations

from typing import Final

from dashboards.influxql import EVENT, of_type
from dashboards.model import Dashboard, Override, Panel, Query, Variable
from dashboards.panels import table, time_series
from dashboards.shared import VERDICT_WORDS, about, event_columns, hidden, named, rule_column, wearers, words
from processing.dictionary import EVENT_TYPES
from processing.types import Json

REVIEW_UID: Final = "tiltline-review"
_PAGE: Final = Variable(
    "page",
    "Gateway's page",
    "Address of the gateway whose page takes the verdicts.",
    value="http://127.0.0.1:8080",
)
_LINK: Final[Json] = [
    {
        "title": "Look at this flag and judge it",
        "url": "${page:raw}/review.html?wearer=${__data.fields.wearer}&event=${__value.raw}",
        "targetBlank": True,
    }
]


def review() -> Dashboard:
    """Flags to judge, verdicts, and the precision that follows."""
    return Dashboard(
        uid=REVIEW_UID,
        title="Tiltline · Review",
        description="Each flag with its evidence. Click its id to judge it; the precision of the rules follows from the verdicts.",
        tags=("therapist",),
        variables=(*wearers(several=True), _PAGE),
        time_from="now-7d/d",
        panels=(
            _queue(),
            _precision("rule", rule_column()),
            _precision("wearer", *named(wearer="Wearer")),
            _verdicts(),
            _over_time(),
        ),
    )


def _queue() -> Panel:
    return table(
        "Flags, newest first",
        "Click a flag's id: the page shows the picture, the numbers behind it and what followed, and takes your verdict. Flags that "
        "are judged already stay in this list; the page shows the open ones first.",
        [Query(EVENT.rows(("wearer", "rule", "summary", "event_id"), where=(of_type("flag"),)), table=True)],
        height=11,
        overrides=(*event_columns(), Override("event_id", {"links": _LINK})),
    )


def _precision(tag: str, shown: Override) -> Panel:
    columns = {"Precision": EVENT.call("mean", "useful"), "Judged": EVENT.call("count", "useful")}
    columns["Useful"] = EVENT.call("sum", "useful")
    return table(
        f"Precision by {tag}",
        f"{about('event', 'useful')} Every verdict counts, also a second one on the same flag. A share of few judged flags says "
        "little. Empty: nothing was judged.",
        [Query(EVENT.latest(columns, by=(tag,), where=(of_type("verdict"),)), table=True)],
        width=12,
        height=8,
        sort_by=(("Judged", True),),
        overrides=(
            hidden("Time"),
            shown,
            Override("Precision", {"unit": "percentunit", "decimals": 0}),
        ),
    )


def _verdicts() -> Panel:
    return table(
        "Verdicts",
        f"{EVENT_TYPES['verdict']} Newest first.",
        [Query(EVENT.rows(("wearer", "rule", "word", "flag_event_id"), where=(of_type("verdict"),)), table=True)],
        width=12,
        height=9,
        overrides=(
            *event_columns(),
            Override("word", {"displayName": "Verdict", "custom.width": 130, **words(VERDICT_WORDS)}),
            Override("flag_event_id", {"displayName": "Flag"}),
        ),
    )


def _over_time() -> Panel:
    query = EVENT.counts("Verdicts", "useful", every="1d", where=(of_type("verdict"),))
    return time_series(
        "Judged flags per day",
        "Verdicts entered per day. No bar: none was entered.",
        [Query(query)],
        unit="count",
        width=12,
        height=9,
        style="bars",
        min_interval="1d",
    )
