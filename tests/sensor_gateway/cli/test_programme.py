"""`tiltline programme` and `tiltline log` against a served page with the real coach behind it."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor_gateway.cli import main
from sensor_gateway.cli.programme import as_toml, parse
from sensor_gateway.config import ConfigError, read_toml
from sensor_gateway.web.app import serve
from tests.sensor_gateway.web.test_coaching import Desk
from tests.sensor_gateway.web.web_day import WEARER

ENTRY = {"exercise": "single_leg_bridge", "side": "left", "sets": 1, "reps": 6, "hold_s": 3}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """The page in a thread of its own, on a free port."""
    desk = Desk(tmp_path)
    loop, ready = asyncio.new_event_loop(), threading.Event()
    found: list[str] = []

    def told(url: str) -> None:
        found.append(url)
        ready.set()

    async def run() -> None:
        await serve(desk.app(), "127.0.0.1", 0, told)

    task = loop.create_task(run())

    def work() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(60)
    yield found[0]
    loop.call_soon_threadsafe(task.cancel)
    thread.join(60)
    desk.store.close()


def tiltline(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(words)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_set_show_history_and_log(page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.toml"
    file.write_text(as_toml([ENTRY]))
    words = ("programme", "set", WEARER, "--page", page, "--file", str(file), "--editor", "pt-1")
    assert tiltline(capsys, *words)[:2] == (0, "Set: 1 exercises; they hold from the next local day.\n")
    shown = tiltline(capsys, "programme", "show", WEARER, "--page", page, "--json")
    assert json.loads(shown[1])["pending"]["entries"] == [ENTRY]
    assert (
        "single_leg_bridge          left   1 x 6, hold 3 s"
        in tiltline(capsys, "programme", "show", WEARER, "--page", page)[1]
    )
    assert "pt-1" in tiltline(capsys, "programme", "history", WEARER, "--page", page)[1]
    assert tiltline(capsys, "programme", "propose", WEARER, "--page", page)[1] == "No open proposal.\n"
    status, _, error = tiltline(capsys, "programme", "accept", WEARER, "nope", "--page", page, "--editor", "pt-1")
    assert (status, "not open any more" in error) == (1, True)
    assert tiltline(capsys, "log", WEARER, "pain", "3", "--page", page) == (0, "Logged.\n", "")
    assert "health questions" in tiltline(capsys, "log", WEARER, "pain", "8", "--page", page)[1]
    assert tiltline(capsys, "log", WEARER, "exercise", "hip_hinge", "--page", page)[0] == 0
    assert tiltline(capsys, "log", WEARER, "note", "long drive", "--page", page)[0] == 0
    assert "not in the library" in tiltline(capsys, "log", WEARER, "exercise", "nope", "--page", page)[2]
    assert "0 to 10" in tiltline(capsys, "log", WEARER, "pain", "much", "--page", page)[2]


def test_edit_opens_the_editor_and_sets_what_it_leaves(page: str, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        f"#!{sys.executable}\nimport sys\np = sys.argv[1]\ns = open(p).read()\nopen(p, 'w').write(s.replace('reps = 8', 'reps = 5'))\n"
    )
    editor.chmod(stat.S_IRWXU)
    words = [
        sys.executable,
        "-m",
        "sensor_gateway.cli",
        "programme",
        "edit",
        WEARER,
        "--page",
        page,
        "--editor",
        "pt-1",
        "--json",
    ]
    env = {**os.environ, "EDITOR": str(editor), "VISUAL": ""}
    ran = subprocess.run(words, capture_output=True, text=True, env=env, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    assert {e["reps"] for e in json.loads(ran.stdout)["entries"]} == {5}


def test_a_file_comes_back_as_it_went(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    entries = [ENTRY, {"exercise": "clamshell", "side": "right", "sets": 2, "reps": 10, "hold_s": 0}]
    file.write_text(as_toml(entries))
    assert parse(read_toml(file), "p.toml") == entries


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"no \[\[programme\]\] block"),
        ("x = 1", "'x' is no key"),
        ('[[programme]]\nexercise = "hip_hing"', r"p.toml: key 'programme\[0\].exercise' is 'hip_hing'.*did you mean"),
        ('[[programme]]\nexercise = "hip_hinge"\nrep = 3', "unknown key"),
        ('[[programme]]\nexercise = "hip_hinge"\nsets = 0', "programme.sets"),
    ],
)
def test_a_file_that_cannot_be_used_names_key_and_remedy(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(text)
    with pytest.raises((ConfigError, ValueError), match=says):
        parse(read_toml(file), "p.toml")


def test_without_a_gateway_it_says_what_to_start(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, _, error = tiltline(capsys, "programme", "show", WEARER, "--page", "http://127.0.0.1:9")
    assert (status, "start 'tiltline run'" in error) == (1, True)
    status, _, error = tiltline(capsys, "log", WEARER, "pain", "1", "--page", "ftp://x")
    assert (status, "use an address" in error) == (1, True)
    status, _, error = tiltline(capsys, "log", WEARER, "pain", "1", "--token-file", str(tmp_path / "none"))
    assert (status, "check --token-file" in error) == (1, True)
