"""Rules of the house that no linter knows: the light install, private paths, words that people read."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_LIGHT = """
import importlib.abc, sys
ALLOWED = {"numpy", "scipy", "vqf", "processing"}
HEAVY = {"msgspec", "pyarrow", "bleak", "paho", "influxdb_client", "starlette", "uvicorn", "zstandard", "sensor_gateway"}
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ImportError(f"processing must not need {name}")
        return None
sys.meta_path.insert(0, Guard())
import pkgutil, processing
for module in pkgutil.walk_packages(processing.__path__, "processing."):
    importlib.import_module(module.name)
print("light")
"""


def test_processing_needs_numpy_scipy_and_vqf_only() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import importlib\n" + _LIGHT], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.strip() == "light", done.stderr


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], check=False, capture_output=True, cwd=ROOT)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return ""


def test_no_file_names_a_package_registry_or_holds_a_recording() -> None:
    registry = re.compile(
        "|".join(["pypi" + r"\.org", "python" + "hosted", "registry" + r"\.npmjs", "deb" + r"\.debian"])
    )
    for path in tracked():
        assert path.suffix not in {".parquet", ".npz", ".mat", ".h5", ".cwa"}, path
        assert not registry.search(text_of(path)), path


def test_modules_stay_readable() -> None:
    for path in tracked():
        if path.suffix == ".py" and path.parts[len(ROOT.parts)] in {"processing", "sensor_gateway", "dashboards"}:
            text = text_of(path)
            # Above 300 lines the docstring argues why; nothing argues for more than 350.
            argued = re.search(r"longer than other", ast.get_docstring(ast.parse(text)) or "", re.IGNORECASE)
            assert len(text.splitlines()) <= (350 if argued else 300), path


BANNED = re.compile(
    r"\b(abnormal|disorder|disease|dangerous|damage|you suffer|patholog\w+|bad posture|wrong posture|harmful)\b",
    re.IGNORECASE,
)


def test_the_command_line_and_the_events_never_diagnose_or_frighten() -> None:
    for path in tracked():
        inside = path.relative_to(ROOT).as_posix()
        if inside.startswith(
            ("sensor_gateway/cli/", "sensor_gateway/web/", "processing/coaching/", "processing/rules/")
        ):
            found = BANNED.search(text_of(path))
            assert found is None, f"{inside}: {found and found.group(0)}"
