"""Real servers for the tests: Mosquitto with TLS, users and access list; InfluxDB 1.6.7 behind the `/api/v2/write` shim;
gateway and bridge as processes of their own. Each can be stopped, killed and started again on its old port and data.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.certificates import make_certificates

REPOSITORY = Path(__file__).parents[2]
START_S = 60.0
"""How long a server may take to answer; on a crowded machine many times what it takes alone."""
PORTS = range(10_000, 32_000)
_PORTS = (PORTS[(os.getpid() * 331 + i) % len(PORTS)] for i in itertools.count())
TOKEN = "test-token"
PASSWORDS = {"gw-1": "gateway-secret", "gw-2": "other-secret", "bridge": "bridge-secret"}

ACCESS = """
pattern write tiltline/v1/+/%u/status
pattern read tiltline/v1/+/%u/durable
user gw-1
topic write tiltline/v1/home/gw-1/w-001/+
topic write tiltline/v1/home/gw-1/w-011/+
topic write tiltline/v1/home/gw-1/w-012/+
topic write tiltline/v1/home/gw-1/w-013/+
topic write tiltline/v1/home/gw-1/w-014/+
user gw-2
topic write tiltline/v1/home/gw-2/w-002/+
user bridge
topic read tiltline/v1/+/+/+/+
topic read tiltline/v1/+/+/status
topic write tiltline/v1/+/+/durable
"""


def need(*programs: str) -> None:
    """Skip the test with a clear word where a server is not installed."""
    for program in programs:
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            pytest.skip(f"{program} is not installed; `make test` installs it")


def free_port() -> int:
    """A port for a server that starts soon.

    Below those that the kernel gives to outgoing connections, or one of these could take it in between; at a place of the
    process's own, or another test worker could; never the same one twice.
    """
    for _ in range(PORTS.stop - PORTS.start):
        port = next(_PORTS)
        with suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port of {PORTS} is free")


def wait_until(what: str, check: Callable[[], bool], seconds: float = START_S) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


class Process:
    """A child in its own process group, with its output in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_up(self) -> bool:
        return True

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.cwd,
                start_new_session=True,
                env=self.environment(),
            )
        try:
            wait_until(f"{self.name} answering", lambda: self.ended() or self.is_up())
        except TimeoutError:
            self.kill9()
            raise
        if self.ended() and not self.may_end:
            raise RuntimeError(f"{self.name} ended at once:\n{self.said()[-2000:]}")

    may_end = False
    cwd = REPOSITORY

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def ended(self) -> bool:
        return self._child is None or self._child.poll() is not None

    def wait(self, seconds: float) -> int:
        assert self._child is not None
        return self._child.wait(seconds)

    def _signal(self, number: int) -> None:
        if self._child is not None and self._child.poll() is None:
            os.killpg(self._child.pid, number)
            self._child.wait(START_S)

    def freeze(self) -> None:
        """Stop it where it stands, as a machine does that sleeps or swaps."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        if self._child is not None and self._child.poll() is None:
            os.killpg(self._child.pid, number)

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def stop(self) -> None:
        try:
            self._signal(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            raise

    def kill9(self) -> None:
        self._signal(signal.SIGKILL)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Mosquitto(Process):
    """The broker: TLS, password file, access list, persistence; ``gateways`` are users beyond the usual ones."""

    def __init__(self, folder: Path, gateways: Sequence[str] = ()) -> None:
        need("mosquitto", "mosquitto_passwd")
        super().__init__(folder, "mosquitto")
        self.port = free_port()
        make_certificates(folder)
        passwords, access, data = folder / "passwd", folder / "acl", folder / "data"
        data.mkdir(exist_ok=True)
        passwords.touch(mode=0o600)
        for user, password in (PASSWORDS | {gateway: f"{gateway}-secret" for gateway in gateways}).items():
            subprocess.run(["mosquitto_passwd", "-b", passwords, user, password], check=True, capture_output=True)
            (folder / f"{user}.password").write_text(password)
        more = "".join(f"user {user}\ntopic write tiltline/v1/home/{user}/+/+\n" for user in gateways)
        access.write_text(ACCESS + more)
        access.chmod(0o600)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\ncafile {folder}/ca.crt\ncertfile {folder}/server.crt\n"
            f"keyfile {folder}/server.key\nallow_anonymous false\npassword_file {passwords}\nacl_file {access}\n"
            f"persistence true\npersistence_location {data}/\nautosave_interval 1\nmax_queued_messages 10000\nmax_inflight_messages 200\n"
            "log_type error\nlog_type warning\nlog_type notice\nlog_type information\nlog_type subscribe\n"
        )

    def command(self) -> list[str]:
        return ["mosquitto", "-c", str(self._config)]

    def is_up(self) -> bool:
        return answers(self.port)


class Influxd(Process):
    """InfluxDB 1.6.7, the real storage engine."""

    def __init__(self, folder: Path) -> None:
        need("influxd")
        super().__init__(folder, "influxd")
        self.port, rpc = free_port(), free_port()
        self._config = folder / "influxd.toml"
        self._config.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n'
            f'[meta]\n  dir = "{folder}/meta"\n[data]\n  dir = "{folder}/data"\n  wal-dir = "{folder}/wal"\n'
            f'  query-log-enabled = false\n[http]\n  bind-address = "127.0.0.1:{self.port}"\n  log-enabled = false\n'
            '[monitor]\n  store-enabled = false\n[logging]\n  level = "error"\n'
        )

    def command(self) -> list[str]:
        return ["influxd", "run", "-config", str(self._config)]

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=1) as answer:
                return bool(answer.status == 204)
        except OSError:
            return False

    def create(self, database: str) -> None:
        self._ask(f'CREATE DATABASE "{database}"', post=True)

    def query(self, text: str, database: str = "tiltline") -> list[dict[str, Any]]:
        """Rows of the first statement as dicts; ``time`` in nanoseconds."""
        series = self._ask(text, database)["results"][0].get("series", [])
        return [
            {**s.get("tags", {}), **dict(zip(s["columns"], row, strict=True))} for s in series for row in s["values"]
        ]

    def count(self, measurement: str, field: str, database: str = "tiltline") -> int:
        rows = self.query(f'SELECT count("{field}") FROM "{measurement}"', database)
        return int(rows[0]["count"]) if rows else 0

    def _ask(self, text: str, database: str = "", post: bool = False) -> dict[str, Any]:
        query = urllib.parse.urlencode({"q": text, "db": database, "epoch": "ns"})
        url = f"http://127.0.0.1:{self.port}/query?{query}"
        with urllib.request.urlopen(
            urllib.request.Request(url, method="POST" if post else "GET"), timeout=20
        ) as answer:
            result: dict[str, Any] = json.load(answer)
        assert "error" not in result["results"][0], result
        return result


class Shim(Process):
    """nginx before InfluxDB 1.6.7: `/api/v2/write` and `/query` with a token, as InfluxDB 2 has them, and `/health`."""

    def __init__(self, folder: Path, influx_port: int) -> None:
        need("nginx")
        super().__init__(folder, "nginx")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        temporary = "\n".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(f"""
user root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off; {temporary} client_max_body_size 64m; client_body_buffer_size 8m;
  map $arg_precision $precision {{ default n; us u; ms ms; s s; }}
  map $http_authorization $allowed {{ default 0; "Token {TOKEN}" 1; }}
  server {{
    listen 127.0.0.1:{self.port};
    location = /api/v2/write {{
      if ($allowed = 0) {{ return 401 '{{"code":"unauthorized","message":"unauthorized access"}}'; }}
      proxy_set_header Authorization "";
      rewrite ^ /write?db=$arg_bucket&precision=$precision? break;
      proxy_pass http://127.0.0.1:{influx_port};
    }}
    location = /query {{
      if ($allowed = 0) {{ return 401 '{{"code":"unauthorized","message":"unauthorized access"}}'; }}
      proxy_set_header Authorization "";
      proxy_pass http://127.0.0.1:{influx_port};
    }}
    location = /health {{ default_type application/json; return 200 '{{"name":"influxdb","status":"pass"}}'; }}
  }}
}}
""")

    def command(self) -> list[str]:
        return ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def is_up(self) -> bool:
        return answers(self.port)


class Tiltline(Process):
    """`tiltline run` or `tiltline bridge` as a user starts it."""

    may_end = True

    def __init__(self, folder: Path, command: str, config: str, *options: str) -> None:
        super().__init__(folder, command)
        (folder / "config.toml").write_text(config)
        self._command = [sys.executable, "-m", "sensor_gateway.cli", command, "--config", str(folder / "config.toml")]
        self._command += ["--verbose", "--json", *options]

    def command(self) -> list[str]:
        return self._command

    def counters(self) -> dict[str, int]:
        """What the process printed at its end."""
        lines = [line for line in self.said().splitlines() if line.startswith('{"')]
        counters: dict[str, int] = json.loads(lines[-1])
        return counters


class Stack:
    """Broker, database with its shim, and the configurations that reach them."""

    def __init__(self, folder: Path, gateways: Sequence[str] = ()) -> None:
        self.folder = folder
        self.broker = Mosquitto(folder / "mosquitto", gateways)
        self.influx = Influxd(folder / "influx")
        self.shim = Shim(folder / "nginx", self.influx.port)
        self._others: list[Process] = []
        (folder / "token").write_text(TOKEN)

    def start(self) -> None:
        for server in (self.broker, self.influx, self.shim):
            server.start()
        self.influx.create("tiltline")

    @contextmanager
    def running(self) -> Iterator[Stack]:
        """All of it, and what was added meanwhile, until the block ends."""
        try:
            self.start()
            yield self
        finally:
            self.close()

    def mqtt_toml(self, user: str) -> str:
        return (
            f'[mqtt]\nenabled = true\nhost = "127.0.0.1"\nport = {self.broker.port}\nca_file = "{self.broker.folder}/ca.crt"\n'
            f'username = "{user}"\npassword_file = "{self.broker.folder}/{user}.password"\nkeepalive_s = 5\n'
        )

    def gateway(self, sensors: str, *options: str, site: str = "") -> Tiltline:
        """A gateway with ``sensors`` (TOML), delivering over MQTT, without a page."""
        config = f'[site]\ndata_dir = "data"\n{site}{sensors}\n[web]\nenabled = false\n{self.mqtt_toml("gw-1")}'
        return self.add(Tiltline(self.folder / "gateway", "run", config, *options))

    def bridge(self, name: str = "bridge", *options: str) -> Tiltline:
        config = (
            f'[site]\ngateway = "{name}"\ndata_dir = "data"\n{self.mqtt_toml("bridge")}'
            f'[influx]\nurl = "{self.shim.url}"\ntoken_file = "{self.folder}/token"\nbatch = 500\n'
        )
        return self.add(Tiltline(self.folder / name, "bridge", config, *options))

    def add(self, process: Tiltline) -> Tiltline:
        self._others.append(process)
        return process

    def close(self) -> None:
        for process in (*self._others, self.shim, self.influx, self.broker):
            process.kill9()
