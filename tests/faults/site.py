"""One site under test: real Mosquitto, real InfluxDB, gateway and bridge as processes, proxies between them, and what can
be done to each. Gateway and bridge are kept alive by a supervisor, as systemd or compose would keep them.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.proxy import Proxy
from tests.faults.schedule import Fault
from tests.faults.starved import Waits, waits
from tests.faults.tape import Wearer, install_plugin, set_pace
from tests.integration.servers import Process, Stack, Tiltline

DISK_MB = 192
STUDY = "study.toml"


def faketime_library() -> str | None:
    """libfaketime (Debian package `faketime`), with which a process's wall clock can be set while it runs."""
    for place in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"):
        path = Path(place) / "faketime" / "libfaketimeMT.so.1"
        if path.is_file():
            return str(path)
    return ctypes.util.find_library("faketimeMT")


def can_mount() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None


class Node(Tiltline):
    """Gateway or bridge with a disk and a wall clock of its own."""

    def __init__(self, folder: Path, command: str, config: str, plugin: Path, code: Path, faketime: str | None) -> None:
        super().__init__(folder, command, config)
        self._command.remove("--verbose")
        self.cwd = code
        self._plugin, self._faketime = plugin, faketime
        self.clock_file = folder / "clock"
        self.data = folder / "data"
        self.step_clock(0)

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.cwd), str(self._plugin)])
        extra = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        if self._faketime is not None:
            extra |= {
                "LD_PRELOAD": self._faketime,
                "FAKETIME_TIMESTAMP_FILE": str(self.clock_file),
                "FAKETIME_CACHE_DURATION": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
        return dict(os.environ) | extra

    def step_clock(self, seconds: int) -> None:
        fresh = self.clock_file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self.clock_file)


class Site(Stack):
    """See the module. ``disks`` puts the data folders of gateway and bridge on small file systems of their own."""

    def __init__(self, folder: Path, tapes: dict[Wearer, Path], code: Path, disks: bool, faketime: str | None) -> None:
        super().__init__(folder)
        self.pace = folder / "pace"
        set_pace(self.pace, 0)
        plugin = folder / "plugin"
        install_plugin(plugin)
        self.proxies = {
            "gateway-broker": Proxy(self.broker.port),
            "bridge-broker": Proxy(self.broker.port),
            "bridge-database": Proxy(self.shim.port),
        }
        sensors = "\n".join(
            f'[[sensors]]\nid = "{w.sensor}"\nwearer = "{w.wearer}"\ndriver = "tape"\n'
            f'options = {{ path = "{path}", pace = "{self.pace}" }}'
            for w, path in tapes.items()
        )
        self.gateway_node = Node(
            folder / "gateway",
            "run",
            f'study = "{STUDY}"\n[site]\ndata_dir = "data"\n{sensors}\n[web]\nenabled = false\n[file]\nenabled = true\ndirectory = "ndjson"\n'
            + self._mqtt("gw-1", "gateway-broker"),
            plugin,
            code,
            faketime,
        )
        self.bridge_node = Node(
            folder / "bridge",
            "bridge",
            f'[site]\ngateway = "bridge"\ndata_dir = "data"\n{self._mqtt("bridge", "bridge-broker")}'
            f'[influx]\nurl = "http://127.0.0.1:{self.proxies["bridge-database"].port}"\n'
            f'token_file = "{self.folder}/token"\nbatch = 500\ntimeout_s = 3.0\n',
            plugin,
            code,
            faketime,
        )
        (self.gateway_node.folder / STUDY).write_text('version = "default"\n')
        self.nodes = {"gateway": self.gateway_node, "bridge": self.bridge_node}
        self.processes: dict[str, Process] = {
            **self.nodes,
            "broker": self.broker,
            "database": self.influx,
            "shim": self.shim,
        }
        self._mounted: list[Path] = []
        if disks:
            for node in self.nodes.values():
                self._mount(node.data)
        self.held_down: set[str] = set()
        self.restarts = 0
        self._lock = threading.Lock()
        self._watching = threading.Event()

    def _mqtt(self, user: str, proxy: str) -> str:
        return self.mqtt_toml(user).replace(f"port = {self.broker.port}", f"port = {self.proxies[proxy].port}")

    def _mount(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder], check=True)
        self._mounted.append(folder)

    def start(self) -> None:
        super().start()
        for node in self.nodes.values():
            node.start()
        threading.Thread(target=self._supervise, daemon=True).start()

    def _supervise(self) -> None:
        while not self._watching.wait(0.25):
            with self._lock:
                for name, node in self.nodes.items():
                    if node.ended() and name not in self.held_down:
                        node.start()
                        self.restarts += 1

    def down(self, name: str, harm: str = "") -> None:
        """Kill -9 and keep it down; ``harm`` is done to its files before it may start again."""
        with self._lock:
            self.held_down.add(name)
            self.processes[name].kill9()
            if harm:
                self._tear(name, harm)

    def up(self, name: str) -> None:
        with self._lock:
            self.processes[name].start()
            self.held_down.discard(name)

    def _tear(self, name: str, harm: str) -> None:
        """What a crash in mid-write leaves behind: half a frame after the log's last whole one, half a line in a text."""
        garbage = harm.encode() * 97
        if name == "broker":
            # Its store is written aside and renamed; torn, it would refuse to start. What a crash costs is its content.
            for path in (self.broker.folder / "data").glob("mosquitto.db*"):
                path.unlink()
            return
        for path in self.nodes[name].data.glob("*.db-wal"):
            with path.open("ab") as file:
                file.write(garbage)
        for path in sorted((self.nodes[name].folder / "ndjson").glob("*.ndjson"))[-1:]:
            with path.open("ab") as file:
                file.write(b'{"v":1,"kind":"metric","si')

    def waits(self) -> Waits:
        """How long each thread of the site has stood in line for a processor."""
        return waits(process.pid for process in self.processes.values() if not process.ended())

    def begin(self, fault: Fault) -> None:
        """Let the fault strike."""
        match fault.kind:
            case "kill":
                self.down(fault.target)
            case "study":
                # Another label, the same rules: a new run, whose records must be those the old one would have given.
                self.down(fault.target)
                (self.gateway_node.folder / STUDY).write_text(f'version = "study {fault.dose}"\n')
            case "torn":
                self.down(fault.target, harm=f"torn {fault.dose}")
            case "away":
                for name in _both(fault.target):
                    self.down(name)
            case "freeze":
                self.processes[fault.target].freeze()
            case "disk_full":
                _fill(self.nodes[fault.target].data)
            case "cut":
                self.proxies[fault.target].cut(fault.dose)
            case "hold":
                self.proxies[fault.target].hold()
            case "slow_net":
                self.proxies[fault.target].slow(1 + fault.dose % 900, 0.005)
            case "slow_disk":
                self._slow_disk(fault)
            case "clock_step":
                step = fault.dose % 7200 - 1800
                self.nodes[fault.target].step_clock(step)

    def end(self, fault: Fault) -> None:
        """Mend it."""
        match fault.kind:
            case "kill" | "torn" | "study":
                self.up(fault.target)
            case "away":
                for name in _both(fault.target):
                    self.up(name)
            case "freeze":
                self.processes[fault.target].thaw()
            case "disk_full":
                (self.nodes[fault.target].data / "ballast").unlink(missing_ok=True)
            case "cut" | "hold" | "slow_net":
                self.proxies[fault.target].heal()

    def _slow_disk(self, fault: Fault) -> None:
        """A disk that answers late: for the fault's time the file's write lock is held most of the time, so that every
        commit waits for up to a quarter of a second.
        """
        name = "spool.db" if fault.target == "gateway" else "bridge.db"
        path = self.nodes[fault.target].data / name

        def hold() -> None:
            until = time.monotonic() + fault.seconds
            with suppress(sqlite3.Error):
                db = sqlite3.connect(path, isolation_level=None, timeout=5)
                while time.monotonic() < until:
                    with suppress(sqlite3.OperationalError):
                        db.execute("BEGIN IMMEDIATE")
                        time.sleep(0.25)
                        db.execute("ROLLBACK")
                    time.sleep(0.02)
                db.close()

        threading.Thread(target=hold, daemon=True).start()

    def close(self) -> None:
        self._watching.set()
        with self._lock:
            for node in self.nodes.values():
                node.thaw()
                node.kill9()
            for process in self.processes.values():
                process.thaw()
        super().close()
        for proxy in self.proxies.values():
            proxy.close()
        for folder in self._mounted:
            subprocess.run(["umount", "-l", folder], check=False)


def _both(target: str) -> tuple[str, ...]:
    return ("broker", "database") if target == "both" else (target,)


def _fill(folder: Path) -> None:
    """Leave not a byte free."""
    with (folder / "ballast").open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while file.write(b"\0" * size):
                    pass
