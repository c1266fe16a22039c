"""`pip install tiltline` without extras: the arithmetic with numpy, scipy and vqf, and nothing else; commands say what they need.

The wheel is built as pip builds it and unpacked beside those three alone; an interpreter without site-packages then sees no other.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
USE = """
import json
from importlib.metadata import distributions, requires
import numpy as np
from processing.alignment.static import align, parse_mount
from processing.batch import process_recording
from processing.coaching.programme import library
from processing.core import CoreSetup
from processing.rules.study import Study
from processing.types import Metric, TimedBatch

n = 12_000
t = 1_790_000_040_000_000_000 + np.arange(n, dtype=np.int64) * 10_000_000
timed = TimedBatch(t, np.tile([9.81, 0.0, 0.0], (n, 1)), np.zeros((n, 3)))
mount = parse_mount("up=+x,anterior=-z")
alignment = align(mount, np.array([9.81, 0.0, 0.0]), given=True, mount_id="m", t_utc_ns=int(t[0]))
setup = CoreSetup("w-001", "clip-1", 100.0, alignment)
records = process_recording([timed], setup, Study()).records
print(json.dumps({
    "distributions": sorted(d.name for d in distributions()),
    "requires": sorted(r.split(">")[0] for r in requires("tiltline") if "extra ==" not in r),
    "tilt_deg": max(abs(r.anterior_tilt_deg) for r in records if isinstance(r, Metric) and r.anterior_tilt_deg is not None),
    "exercises": len(library()),
}))
"""


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, numpy, scipy and vqf."""
    folder = tmp_path_factory.mktemp("light")
    source = folder / "source"
    for name in ("processing", "sensor_gateway", "dashboards"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    done = subprocess.run([*build, "-w", str(folder), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    target = folder / "packages"
    with zipfile.ZipFile(next(folder.glob("tiltline-*.whl"))) as wheel:
        wheel.extractall(target)
    for site in {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}:
        for path in site.iterdir():
            if path.name.split("-")[0].split(".")[0] in {"numpy", "scipy", "vqf"}:
                (target / path.name).symlink_to(path)
    return target


def python(packages: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-S", *words],
        env=environment,
        cwd=packages.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_every_file_of_the_packages(light: Path) -> None:
    source = light.parent / "source"
    packed = [
        p for name in ("processing", "sensor_gateway", "dashboards") for p in (source / name).rglob("*") if p.is_file()
    ]
    assert [str(p.relative_to(source)) for p in packed if not (light / p.relative_to(source)).is_file()] == []


def test_the_dashboards_come_with_the_wheel(light: Path) -> None:
    """Those that were packed are current, and one command writes them for a Grafana elsewhere."""
    packed = python(light, "-m", "dashboards", "--check")
    assert packed.returncode == 0, packed.stderr
    written = python(light, "-m", "dashboards", "--out", "grafana")
    assert written.returncode == 0, written.stderr
    assert len(list((light.parent / "grafana").rglob("tiltline*"))) == 7


def test_the_arithmetic_runs_on_numpy_scipy_and_vqf_alone(light: Path) -> None:
    done = python(light, "-c", USE)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["distributions"] == ["numpy", "scipy", "tiltline", "vqf"]
    assert told["requires"] == ["numpy", "scipy", "vqf"]
    assert told["tilt_deg"] < 0.5
    assert told["exercises"] >= 12


def test_the_script_in_the_researchers_page_runs_as_it_stands(light: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/research.md").read_text(encoding="utf-8"), re.DOTALL)
    t = np.arange(18_000) / 100
    lean = np.where(t < 10, 0.0, np.radians(8))  # stands in the neutral pose, then with the pelvis 8 deg forward
    signals = [9.81 * np.cos(lean), 0 * t, 9.81 * np.sin(lean), 0 * t, 0 * t, 0 * t]
    table = np.column_stack([t, *signals])
    np.savetxt(light.parent / "walk.csv", table, delimiter=",", header="t_s,ax,ay,az,gx,gy,gz", comments="")
    done = python(light, "-c", script)
    assert done.returncode == 0, done.stderr
    minutes = [line.split() for line in done.stdout.splitlines()]
    assert [int(m[0]) for m in minutes] == [1_773_187_200_000_000_000 + i * 60_000_000_000 for i in range(3)]
    assert abs(float(minutes[2][1]) - 8) < 0.5


def test_commands_are_listed_and_say_which_extra_they_need(light: Path) -> None:
    assert "replay" in python(light, "-m", "sensor_gateway.cli", "--help").stdout
    for command, extra in (("process", "research"), ("run", "gateway")):
        done = python(light, "-m", "sensor_gateway.cli", command, "--help")
        assert done.returncode == 1
        assert f"pip install 'tiltline[{extra}]'" in done.stderr
