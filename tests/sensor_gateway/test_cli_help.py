"""The help of every command: examples that can be pasted, and parse."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex

import pytest

from sensor_gateway.cli import COMMANDS, main, module_of
from sensor_gateway.cli.examples import EXAMPLES


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_shows_how_the_command_is_used(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    usage, _, rest = capsys.readouterr().out.partition("\n\n")
    assert usage.startswith(f"usage: tiltline {name}")
    assert re.search(rf"tiltline {name}\b", rest), "an example to paste"


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_examples_parse(line: str) -> None:
    called, name, *words = shlex.split(line)
    assert called == "tiltline"
    parser = argparse.ArgumentParser(prog=f"tiltline {name}")
    importlib.import_module(f"sensor_gateway.cli.{module_of(name)}").configure(parser)
    assert parser.parse_args(words) is not None


def test_the_list_of_commands_keeps_a_name_and_its_line_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for name in COMMANDS:
        assert re.search(rf"^    {name} {{2,}}\S", shown, re.MULTILINE), name
