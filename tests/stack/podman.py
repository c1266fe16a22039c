"""podman for the trial: a storage of its own in the cache folder, images from the base, and the services of the compose file.

Nothing here touches this machine's own podman, its network or its firewall: the script runs it in namespaces of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SERVICES = ("mosquitto", "influxdb", "gateway", "bridge")
IMAGE = "localhost/tiltline-test"
IMAGES = {
    "mosquitto:2.0.11": HERE / "mosquitto.Containerfile",
    "influxdb:1.6.7": HERE / "influxdb.Containerfile",
    "tiltline:0.1.0": ROOT / "Dockerfile",
}


class StackError(RuntimeError):
    """podman refused something; its own words stand in it."""


def until(what: str, check: Callable[[], bool], seconds: float) -> float:
    """Seconds it took until ``check`` held; `StackError` naming ``what`` where it did not."""
    began = time.monotonic()
    while not check():
        if time.monotonic() - began > seconds:
            raise StackError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.25)
    return time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Podman:
    """``cache`` keeps images and layers between runs; containers and volumes are of this run only."""

    cache: Path

    def prepare(self) -> None:
        run = self.cache / "run"
        shutil.rmtree(run, ignore_errors=True)  # of a run that was killed; podman then sets itself up as after a reboot
        for folder in (run / "networks", run / "tmp"):
            folder.mkdir(parents=True)
        (self.cache / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self.cache}/images"\nrunroot = "{run}"\n'
        )
        # runc, since crun refuses cgroup layouts of version 1; limits that are below every host's own.
        (self.cache / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]\n'
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            f'tmp_dir = "{run}/tmp"\n[network]\nnetwork_config_dir = "{run}/networks"\n'
        )
        (self.cache / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "CONTAINERS_CONF": f"{self.cache}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.cache}/storage.conf",
        }
        return {**os.environ, **own, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def call(self, *words: str, check: bool = True, seconds: float = 600) -> str:
        """What podman printed. With ``check`` a refusal raises, else it is the empty string."""
        return self._run(["podman", *words], check, seconds, self.cache)

    def _run(self, command: list[str], check: bool, seconds: float, cwd: Path) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode and check:
            raise StackError(f"{' '.join(command)}: {(done.stderr or done.stdout)[-1500:]}")
        return "" if done.returncode else done.stdout

    def build(self, base: Path) -> None:
        """The base from its archive, then the project's own Dockerfile and the two servers; no network for any of it."""
        tag = f"{IMAGE}/base:{base.stat().st_mtime_ns}"
        if tag not in self.call("images", "--format", "{{.Repository}}:{{.Tag}}").split():
            pip = [
                f"--change=ENV PIP_{pair}"
                for pair in ("NO_INDEX=1", "FIND_LINKS=/wheels", "DISABLE_PIP_VERSION_CHECK=1")
            ]
            self.call("import", *pip, str(base), tag)
        for name, file in IMAGES.items():
            words = ["build", "--quiet", "--network", "none", "--build-arg", f"BASE_IMAGE={tag}", "--format", "docker"]
            words += ["--volume", f"{self.cache}/wheels:/wheels:ro", "--file", str(file), "--tag", f"{IMAGE}/{name}"]
            self.call(*words, str(HERE if file.parent == HERE else ROOT), seconds=1800)

    def compose(self, site: Path, *words: str, check: bool = True) -> str:
        """podman-compose on the site's copy of the compose file, with the trial's override."""
        files = ["-f", "docker-compose.yml", "-f", "compose.override.yml"]
        return self._run(["podman-compose", "-p", "tiltline", *files, *words], check, 900, site)

    def name(self, service: str) -> str:
        return f"tiltline_{service}_1"

    def inside(self, service: str, *command: str, check: bool = True) -> str:
        return self.call("exec", self.name(service), *command, check=check)

    def json_of(self, service: str, *command: str) -> Any:
        """A command's JSON, whatever its exit status."""
        done = subprocess.run(
            ["podman", "exec", self.name(service), *command],
            env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        with suppress(ValueError):
            return json.loads(done.stdout)
        return {}

    def healthy(self, service: str) -> bool:
        """The service's own health check, run now."""
        done = subprocess.run(
            ["podman", "healthcheck", "run", self.name(service)], env=self.environment, capture_output=True, check=False
        )
        return done.returncode == 0

    def processes(self, service: str) -> list[int]:
        """Ids of the service's processes, as this machine counts them."""
        return [int(word) for word in self.call("top", self.name(service), "hpid").split()[1:] if word.isdigit()]

    def volume(self, name: str) -> Path:
        return Path(self.call("volume", "inspect", "--format", "{{.Mountpoint}}", f"tiltline_{name}").strip())

    def log(self, service: str) -> str:
        done = subprocess.run(
            ["podman", "logs", "--tail", "60", self.name(service)], env=self.environment, capture_output=True, text=True, check=False
        )  # fmt: skip
        return done.stdout + done.stderr

    def away(self) -> None:
        """No container, volume or network of this run stays."""
        self.call("rm", "--all", "--force", "--time", "2", check=False)
        self.call("volume", "rm", "--all", "--force", check=False)
        self.call("network", "prune", "--force", check=False)


class Pulse(threading.Thread):
    """What systemd does on a host that has it: run the services' health checks, for which others wait to start."""

    def __init__(self, podman: Podman) -> None:
        super().__init__(daemon=True)
        self._podman, self.done = podman, threading.Event()

    def run(self) -> None:
        while not self.done.wait(1.0):
            for service in SERVICES:
                self._podman.healthy(service)
