"""What the pages tell a reader to type or open is there: commands with their options, make targets, modules, files, links."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sensor_gateway.cli import COMMANDS, module_of
from tests.architecture.test_house import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)
ALL = pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
FOLDERS = "config|dashboards|docs|examples|processing|scripts|sensor_gateway|tests"


@cache
def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"tiltline {command}", exit_on_error=False)
    importlib.import_module(f"sensor_gateway.cli.{module_of(command)}").configure(parser)
    return parser


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Its options, those of commands below it too."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= set().union(*(options_of(below) for below in action.choices.values()))
    return found


def written(text: str) -> str:
    """What stands in backticks or in a block, outside of which ``tiltline`` and ``make`` are words."""
    inline = re.sub(FENCE, "", text)
    return "\n".join([*re.findall(r"`([^`]+)`", inline), *(block for _, block in FENCE.findall(text))])


def typed(text: str) -> Iterator[list[str]]:
    """The words of every `tiltline` command in a shell block."""
    for language, block in FENCE.findall(text):
        if language not in ("sh", "bash", "ini", ""):
            continue
        for line in re.sub(r"\\\n", " ", block).splitlines():
            if re.match(r"\s*(\w+=)?(\S*/)?tiltline ", line):
                words = shlex.split(line, comments=True)
                cut = next((i for i, word in enumerate(words) if word in ("|", ">", "&", "&&", ";")), len(words))
                yield words[1:cut]


def source_of(module: str) -> str:
    """The text of what ``python -m module`` runs; empty where there is no such module."""
    inside = ROOT / module.replace(".", "/")
    found = [path for path in (inside.with_suffix(".py"), inside / "__main__.py") if path.exists()]
    return found[0].read_text(encoding="utf-8") if found else ""


def unknown_options(rest: str, source: str) -> set[str]:
    """Options in the rest of a command's line that the module does not name."""
    return {word for word in re.findall(r"(?<!\S)--[a-z][a-z-]*", rest) if f'"{word}"' not in source}


@ALL
def test_a_command_in_a_block_is_one_that_the_program_takes(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in typed(page.read_text(encoding="utf-8")):
        try:
            parser_of(words[0]).parse_args(words[1:])
        except (SystemExit, argparse.ArgumentError) as e:
            pytest.fail(f"tiltline {shlex.join(words)}: {capsys.readouterr().err or e}")


@ALL
def test_a_command_in_the_text_exists_with_its_options(page: Path) -> None:
    for command, rest in re.findall(
        r"(?:^|[ /])tiltline ([a-z][a-z-]*)([^\n|]*)", written(page.read_text(encoding="utf-8"))
    ):
        assert command in COMMANDS, command
        unknown = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest)) - options_of(parser_of(command)) - {"--help"}
        assert not unknown, f"tiltline {command}: {unknown}"


@ALL
def test_what_a_page_names_in_the_repository_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = written(text)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|[ (])make ([a-z-]+)", code, re.MULTILINE)) <= targets
    for module, rest in re.findall(
        r"python3? -m ((?:dashboards|processing|sensor_gateway|tests)[\w.]*)([^\n|#>]*)", code
    ):
        source = source_of(module)
        assert source, module
        assert unknown_options(rest, source) == set(), module
    for path in re.findall(rf"(?:^|[ `])((?:{FOLDERS})/[\w./*-]*\w)", code, re.MULTILINE):
        assert list(ROOT.glob(path)), path


@ALL
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{target}#{anchor}"


def test_the_front_page_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if not re.search(rf"`(tiltline )?{name}`", readme)] == []


def test_the_map_has_every_package() -> None:
    rooms = {path.parent.name for path in (ROOT / "sensor_gateway").glob("*/__init__.py")}
    drawn = set(re.findall(r"`(\w+)/`", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")))
    assert not rooms - drawn


def test_planted_mistakes_are_found() -> None:
    block = "```sh\nFOO=1\ntiltline export --store x \\\n    --no-such y  # why\n```\n"
    assert list(typed(block)) == [["export", "--store", "x", "--no-such", "y"]]
    with pytest.raises((SystemExit, argparse.ArgumentError)):
        parser_of("export").parse_args(["--store", "x", "--no-such", "y"])
    assert unknown_options(" --wearers 4 --no-such 1", source_of("tests.scale.live")) == {"--no-such"}
    assert source_of("tests.scale.no_such") == ""
    assert written("a `make test` b\n```sh\nmake fast\n```\n").split("\n")[:2] == ["make test", "make fast"]
