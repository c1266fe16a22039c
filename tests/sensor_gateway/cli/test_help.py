"""The help of every command: what each word means, what holds without it, and examples that can be pasted."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator

import pytest

from sensor_gateway.cli import COMMANDS, main, module_of

ALL = pytest.mark.parametrize("name", COMMANDS)


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    return capsys.readouterr().out


def parser_of(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"tiltline {name}")
    importlib.import_module(f"sensor_gateway.cli.{module_of(name)}").configure(parser)
    return parser


def words_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Its options and arguments, those of the commands below it too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from words_of(below)
        else:
            yield action


@ALL
def test_examples_stand_at_the_end_and_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(name, capsys)
    assert shown.startswith(f"usage: tiltline {name}")
    examples = shown.partition("\nexamples:\n")[2]
    assert examples, "something to paste"
    for line in examples.rstrip("\n").splitlines():
        typed = re.split(r" {3,}| [|>] ", line.removeprefix("  "))[0]  # what it is for, or another program, follows
        called, own, *words = shlex.split(typed)
        assert (called, own) == ("tiltline", name)
        assert parser_of(name).parse_args(words) is not None


@ALL
def test_every_word_is_explained_and_its_default_told(name: str) -> None:
    for action in words_of(parser_of(name)):
        assert action.help, action.option_strings or action.dest
        said_by_itself = action.default in (None, False, "", argparse.SUPPRESS) or action.default == []
        if action.option_strings and not said_by_itself:
            assert "default" in action.help, f"{action.option_strings}: {action.default!r}"


def test_the_list_of_commands_keeps_a_name_and_its_line_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for name in COMMANDS:
        assert re.search(rf"^    {name} {{2,}}\S", shown, re.MULTILINE), name
