"""Every word a person reads: no diagnosis, no fear, easy to read, and the therapist named where advice is given.

Wearer: page and report catalogues, exercises, prompts, diary, health questions, set-up, pictures. Therapist and operator:
dashboards, dictionary, command line.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from processing import dictionary
from processing.alignment import capture
from processing.coaching import coach, composer, library, prompts, redflags
from processing.rules import compare, explain, gate, prompting
from processing.rules.gate import PromptRequest
from processing.rules.study import Study
from sensor_gateway.alignments import words as alignment_words
from sensor_gateway.cli import COMMANDS, module_of
from sensor_gateway.web import api_setup
from sensor_gateway.wire import summary

ROOT = Path(__file__).parents[1]
LABELLING = (
    r"diagnos|patholog|disorder|disease|abnormal|deform|syndrome|dysfunct|patient\b|\bcur(?:e|es|ed|ing)\b|"
    r"(?:bad|poor|good|correct|proper|faulty) posture|misalign|imbalance"
)
FRIGHTENING = (
    r"damag|danger|injur(?:e|es|ing)\b|harm(?!less)|\brisk|worse|wrong(?!_posture)|\bfail(?:ed|ure)?\b|alarm|severe|serious|"
    r"warning|suffer|\bmust\b|treat|symptom|\bweak\b|punish|lazy|shame|\bbroke streak|stretch"
)
WEARER = re.compile(f"{LABELLING}|{FRIGHTENING}", re.IGNORECASE)
ANYBODY = re.compile(LABELLING, re.IGNORECASE)
DISCLAIMER = re.compile(r"\b(?:no|not a|nor a|never a|makes no) diagnos[ie]s", re.IGNORECASE)
"""Saying that it is no diagnosis is what the word is for."""
GRADE = 6.0
"""Flesch-Kincaid grade of a whole catalogue: a twelve-year-old is in the sixth or seventh."""
LONG_GRADE = 9.5
"""Of a single text of `LONG_WORDS` and more; short ones say little by themselves."""
LONG_WORDS = 18


def strings(value: object) -> Iterator[str]:
    """All texts in plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for v in value.values():
            yield from strings(v)
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from strings(v)


def catalogue(path: str) -> list[str]:
    return list(strings(json.loads((ROOT / path).read_text(encoding="utf-8"))))


def coaching() -> list[str]:
    compose = composer(Study())
    said = [
        [compose(PromptRequest(n, rule, posture)) for n in range(6)]
        for rule in prompts.WHY
        for posture in ("standing", "sitting")
    ]
    texts = [s for group in said for s in strings([[p["text"], p["why"], p["variation"]] for p in group])]
    return list(
        dict.fromkeys([*texts, *gate.REASONS.values(), *prompting.ANSWER_TEXTS.values(), *prompts.WHY.values()])
    )


def exercises() -> list[str]:
    shown = [
        (e.name, e.purpose, e.steps, e.regression.text, e.progression.text, e.contraindications)
        for e in library().values()
    ]
    return list(strings(shown))


def diary() -> list[str]:
    questions = [(q.text, q.more) for q in redflags.QUESTIONS]
    return [*strings(questions), redflags.STOPPED, redflags.CLEAR, *coach.MODE_TEXTS.values()]


def set_up() -> list[str]:
    return [text for _, _, text in api_setup.STEPS.values()]


def source_texts(*modules: Any) -> list[str]:
    """Sentences in a module's string literals: what its functions say, docstrings left out."""
    import ast

    found: list[str] = []
    for module in modules:
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        docs = {
            ast.get_docstring(n, clean=False)
            for n in ast.walk(tree)
            if isinstance(n, (ast.Module, ast.FunctionDef, ast.ClassDef))
        }
        loose = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in loose:
                found += [node.value] if node.value not in docs and len(node.value.split()) >= 4 else []
    return found


def pictures() -> list[str]:
    texts = [p.read_text(encoding="utf-8") for p in (ROOT / "sensor_gateway/web/static/exercises").glob("*.svg")]
    return [t for text in texts for t in re.findall(r"<(?:title|desc)>([^<]+)<", text)]


WEARERS = {
    "page": lambda: catalogue("sensor_gateway/web/static/i18n/en.json"),
    "report": lambda: catalogue("sensor_gateway/report/i18n/en.json"),
    "coaching": coaching,
    "exercises": exercises,
    "diary": diary,
    "set-up": set_up,
    "pictures": pictures,
}
RULE_WORDS = (explain, compare, summary, alignment_words, capture, coach)


def dashboards() -> list[str]:
    found: list[str] = []
    for path in sorted((ROOT / "dashboards/grafana").rglob("*.json")):
        stack = [json.loads(path.read_text(encoding="utf-8"))]
        while stack:
            value = stack.pop()
            if isinstance(value, dict):
                found += [
                    v
                    for k, v in value.items()
                    if k in ("title", "description", "label", "text", "content") and isinstance(v, str)
                ]
                stack += list(value.values())
            elif isinstance(value, list):
                stack += value
    return found


def command_line() -> list[str]:
    found = list(COMMANDS.values())
    for name in COMMANDS:
        module = importlib.import_module(f"sensor_gateway.cli.{module_of(name)}")
        parser = argparse.ArgumentParser(prog=f"tiltline {name}")
        module.configure(parser)
        found.append(parser.format_help())
    return found


def the_dictionary() -> list[str]:
    fields = [f for table in (*dictionary.TABLES.values(), *dictionary.EVENT_DATA.values()) for f in table]
    return [
        *dictionary.EVENT_TYPES.values(),
        *(f.meaning for f in fields),
        *(f.null_means for f in fields if f.null_means),
    ]


OTHERS = {"dashboards": dashboards, "command line": command_line, "dictionary": the_dictionary}


def offending(pattern: re.Pattern[str], texts: list[str]) -> list[str]:
    return [f"{m[0]!r} in {t[:160]!r}" for t in texts if (m := pattern.search(DISCLAIMER.sub("", t)))]


@pytest.mark.parametrize("name", WEARERS)
def test_a_wearer_reads_no_label_and_no_fear(name: str) -> None:
    texts = WEARERS[name]()
    assert texts
    assert offending(WEARER, texts) == []


def test_what_the_rules_say_labels_nobody() -> None:
    texts = source_texts(*RULE_WORDS)
    assert len(texts) > 30
    assert offending(WEARER, texts) == []


@pytest.mark.parametrize("name", OTHERS)
def test_therapists_and_operators_read_no_label_either(name: str) -> None:
    texts = OTHERS[name]()
    assert len(texts) > 20
    assert offending(ANYBODY, texts) == []


def test_the_check_can_find_something() -> None:
    planted = [
        "You have bad posture.",
        "This is dangerous.",
        "Warning: your back gets worse.",
        "Diagnosis: weak glutes.",
    ]
    assert len(offending(WEARER, planted)) == 4
    assert offending(WEARER, ["This is no diagnosis; ask your therapist."]) == []
    assert grade(["Postural misalignment necessitates professional musculoskeletal evaluation immediately."]) > 15
    assert grade(["Stand up and walk a few steps. Then sit down."]) < 2


def words_of(text: str) -> list[str]:
    plain = re.sub(r"\{[^}]*\}", "five", text)  # a placeholder is read as a short word
    return re.findall(r"[A-Za-z][A-Za-z'’-]*", plain)


def syllables(word: str) -> int:
    """Vowel groups, a silent e taken off: right for most words, and the same for all catalogues."""
    word = re.sub(r"[^a-z]", "", word.lower())
    groups = len(re.findall(r"[aeiouy]+", word))
    if len(word) > 2 and re.search(r"(?<![aeiouyl])e$|[^td]ed$", word) and groups > 1:
        groups -= 1
    return max(1, groups)


def grade(texts: list[str]) -> float:
    """Flesch-Kincaid grade level (Kincaid 1975): 0.39 words a sentence + 11.8 syllables a word - 15.59."""
    sentences = [s for text in texts for s in re.split(r"[.!?]+(?:\s|$)", text) if words_of(s)]
    words = [w for s in sentences for w in words_of(s)]
    return 0.39 * len(words) / len(sentences) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


@pytest.mark.parametrize("name", WEARERS)
def test_a_twelve_year_old_can_read_it(name: str) -> None:
    texts = [t for t in WEARERS[name]() if words_of(t)]
    assert grade(texts) <= GRADE
    hard = {round(grade([t]), 1): t for t in texts if len(words_of(t)) >= LONG_WORDS and grade([t]) > LONG_GRADE}
    assert hard == {}


def test_advice_names_the_therapist() -> None:
    """Each prompt, each stop and each exercise's caution; and wherever a text says that something may help."""
    compose = composer(Study())
    for n in range(6):
        said = compose(PromptRequest(n, "tilt_dose", "standing"))
        assert "ask your therapist" in str(said["text"])
    for text in (redflags.STOPPED, redflags.CLEAR, *(c for e in library().values() for c in e.contraindications)):
        assert re.search(r"ask your therapist|your therapist\b", text), text
    for name, texts in WEARERS.items():
        # A heading or a notification's first line stands before the prompt's text, which has it.
        advice = [t for t in texts() if re.search(r"\bmay help\b", t) and len(words_of(t)) > 8]
        assert [t for t in advice if "therapist" not in t] == [], name
