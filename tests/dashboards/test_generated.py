"""What can be said of the generated files without any server: current, self-explaining, and only known names queried."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.__main__ import DEFAULT_DIRECTORY, generated, main, stale
from dashboards.influxql import EPOCH, EVENT, Source, of_type
from dashboards.model import DATA_SOURCE_UID
from dashboards.shared import EVENT_WORDS
from processing.dictionary import EVENT_TYPES, INFLUX, STATES

DASHBOARDS: dict[str, dict[str, Any]] = {
    Path(name).stem: json.loads(text) for name, text in generated().items() if name.startswith("json/")
}
ALL = pytest.mark.parametrize("uid", DASHBOARDS)

FORBIDDEN = re.compile(
    r"\b(SLIMIT|SOFFSET|SHOW\s+SERIES|SHOW\s+DATABASES|SAMPLE|HOLT_WINTERS\w*|MODE|INTEGRAL|INTO|DROP|DELETE|CREATE)\b",
    re.IGNORECASE,
)


def queries(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(where it stands, text) of every panel, annotation and variable query."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["query"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["target"]["query"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]


def test_the_committed_files_are_those_the_code_generates() -> None:
    assert stale(DEFAULT_DIRECTORY) == [], "run `python -m dashboards` and commit the result"


def test_every_type_of_event_has_its_words() -> None:
    assert EVENT_WORDS.keys() == EVENT_TYPES.keys()


def test_check_reports_a_changed_an_absent_and_a_left_over_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path)]) == 0
    assert main(["--out", str(tmp_path), "--check"]) == 0
    changed, absent = (tmp_path / name for name in sorted(generated())[:2])
    changed.write_text("{}")
    absent.unlink()
    (tmp_path / "json" / "tiltline-old.json").write_text("{}")
    assert main(["--out", str(tmp_path), "--check"]) == 1
    message = capsys.readouterr().err
    assert all(str(name) in message for name in (changed.name, absent.name, "json/tiltline-old.json"))
    assert main(["--out", str(tmp_path)]) == 0
    assert stale(tmp_path) == []


def test_a_folder_of_a_grafana_keeps_what_others_put_there(tmp_path: Path) -> None:
    others = [tmp_path / name for name in ("grafana.db", "json/clinic.json", "provisioning/datasources/ours.yaml")]
    for other in others:
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(b"\xff not ours")
    assert main(["--out", str(tmp_path)]) == 0
    assert main(["--out", str(tmp_path), "--check"]) == 0
    assert all(other.read_bytes() == b"\xff not ours" for other in others)


@ALL
def test_every_panel_explains_itself_and_has_its_own_id(uid: str) -> None:
    panels = DASHBOARDS[uid]["panels"]
    assert [p["id"] for p in panels] == list(range(1, len(panels) + 1))
    assert len({p["title"] for p in panels}) == len(panels)
    for panel in panels:
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["targets"], panel["title"]
        assert len({t["refId"] for t in panel["targets"]}) == len(panel["targets"])
        assert panel["fieldConfig"]["defaults"]["noValue"] == "no data"
        assert {t["datasource"]["uid"] for t in panel["targets"]} == {DATA_SOURCE_UID}


@ALL
def test_panels_lie_side_by_side_without_overlap(uid: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[uid]["panels"]:
        g = panel["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


@ALL
def test_queries_name_only_published_measurements_tags_and_fields(uid: str) -> None:
    for where, query in queries(DASHBOARDS[uid]):
        source = re.search(r'FROM "(\w+)"', query)
        assert source is not None, where
        held = INFLUX[source[1]]
        quoted = set(re.findall(r'"([^"]+)"', query)) - {source[1]} - set(re.findall(r'AS "([^"]+)"', query))
        fields, tags = {f.name for f in held.fields}, set(held.tags)
        assert quoted <= fields | tags, (where, quoted - fields - tags)


@ALL
def test_queries_are_portable_and_keep_gaps(uid: str) -> None:
    for where, query in queries(DASHBOARDS[uid]):
        bare = re.sub(r"\"[^\"]*\"|'[^']*'", "", query)  # a label may say "Sample rate", an event's type be 'mode'
        assert not FORBIDDEN.search(bare), (where, query)
        assert query.startswith(("SELECT ", "SHOW TAG VALUES ")), where
        if "GROUP BY time(" in query:
            fill = re.search(r"fill\((\w+)\)", query)
            assert fill is not None, where
            assert fill[1] == ("none" if "count(" in query else "null"), where
        else:
            assert "fill(" not in query, where
        if query.startswith("SELECT"):
            assert "$timeFilter" in query, where
            assert "${site:regex}" in query, where
            of_machines = any(f'FROM "{measurement}"' in query for measurement in STATES)
            assert of_machines != ("${wearer:regex}" in query), where


@ALL
def test_every_variable_of_a_query_is_defined_and_lines_never_bridge_a_gap(uid: str) -> None:
    dashboard = DASHBOARDS[uid]
    defined = {v["name"] for v in dashboard["templating"]["list"]} | {"timeFilter", "__interval"}
    for where, query in queries(dashboard):
        assert set(re.findall(r"\$\{?(\w+)", query)) <= defined, where
    for panel in dashboard["panels"]:
        if panel["type"] == "timeseries":
            assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False, panel["title"]


def test_words_are_not_diagnostic() -> None:
    banned = re.compile(
        r"\b(diagnos\w*|patholog\w*|disorder|disease|abnormal\w*|dysfunction\w*|injur\w*|damage\w*|danger\w*|bad posture|"
        r"warning|must)\b",
        re.IGNORECASE,
    )
    for uid, dashboard in DASHBOARDS.items():
        texts = [dashboard["title"], dashboard["description"]]
        texts += [text for panel in dashboard["panels"] for text in (panel["title"], panel["description"])]
        found = [text for text in texts if banned.search(text)]
        assert not found, (uid, found)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Source("tilts"),
        lambda: EPOCH.field("tilt_medium_deg"),
        lambda: EVENT.field("data"),
        lambda: EPOCH.tag_values("rule"),
        lambda: of_type("flags"),
        lambda: EVENT.series({"Flags": EVENT.call("count", "event_id")}),
    ],
    ids=["measurement", "field", "event field", "tag", "event type", "count over time with fill"],
)
def test_a_wrong_name_cannot_be_built(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"no |counts"):
        wrong()
