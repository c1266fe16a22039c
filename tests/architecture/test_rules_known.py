"""A rule is a rule everywhere: explained, worked through again, put into words for wearer, therapist and dashboards, in the example."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import asdict

import pytest

from dashboards.shared import RULE_WORDS
from processing.coaching.prompts import WHY
from processing.rules.base import RULE_VERSION
from processing.rules.study import Study
from sensor_gateway.explain.recompute import KNOWN_VERSIONS
from tests.architecture.test_house import ROOT

STATIC = ROOT / "sensor_gateway" / "web" / "static"
HINTS = {"asymmetry"}
"""Rules that tell the therapist and never prompt: the wearer's page has no words for them."""


def test_versions_and_words_for_therapists_are_there_for_each_rule() -> None:
    assert KNOWN_VERSIONS == RULE_VERSION, "explain works a flag through again by a second reading of its rule"
    assert RULE_WORDS.keys() == RULE_VERSION.keys()


@pytest.mark.parametrize("rule", sorted(RULE_VERSION.keys() - HINTS))
def test_a_rule_that_prompts_has_words_for_the_wearer(rule: str) -> None:
    words = json.loads((STATIC / "i18n" / "en.json").read_text(encoding="utf-8"))
    assert rule in WHY, "why the prompt comes"
    assert f"why.rule.{rule}" in words
    assert any(key == f"flag.{rule}" or key.startswith(f"flag.{rule}.") for key in words)
    assert re.search(rf"\b{rule}: '", (STATIC / "review.js").read_text(encoding="utf-8")), "the review page"


def test_the_example_shows_every_table_of_a_study() -> None:
    shown = tomllib.loads((ROOT / "config" / "study.example.toml").read_text(encoding="utf-8"))
    assert asdict(Study()).keys() - shown.keys() == set()
