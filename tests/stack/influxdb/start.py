"""The database of the stack's test, in its container: InfluxDB 1.6.7 on loopback, nginx at port 8086 before it.

The statements of `tiltline init-stack --influx-users` make the database and its users, and InfluxDB checks who may read and write
what; nginx turns the secret files' tokens (``user:password``) into log-ins, as InfluxDB 1.8 does itself, and maps InfluxDB 2's way
of writing to InfluxDB 1's. Ends when either ends, so that the container is restarted.
"""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

DATA, WORK, SECRETS = Path("/var/lib/influxdb2"), Path("/tmp/start"), Path("/run/secrets")
ENGINE = "http://127.0.0.1:8087"
TOKENS = ("influx_write_token", "influx_read_token")
STATEMENTS = Path("/run/influxdb-1.iql")


def secret(name: str) -> str:
    return (SECRETS / name).read_text().strip()


def basic(log_in: str) -> str:
    return "Basic " + base64.b64encode(log_in.encode()).decode()


def ask(statement: str) -> None:
    headers = {"Authorization": basic(f"admin:{secret('influx_admin_password')}")}
    body = urllib.parse.urlencode({"q": statement}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{ENGINE}/query", body, headers), timeout=20).close()


def set_up() -> None:
    """Administrator, database and users, at every start: each statement leaves alone what is there."""
    ask(f"CREATE USER admin WITH PASSWORD '{secret('influx_admin_password')}' WITH ALL PRIVILEGES")
    for statement in STATEMENTS.read_text().splitlines():
        ask(statement)


def influxd_conf() -> str:
    return f"""reporting-disabled = true
bind-address = "127.0.0.1:8088"
[meta]
  dir = "{DATA}/meta"
[data]
  dir = "{DATA}/data"
  wal-dir = "{DATA}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:8087"
  auth-enabled = true
  log-enabled = false
[monitor]
  store-enabled = false
[logging]
  level = "warn"
"""


def nginx_conf() -> str:
    known = " ".join(f'"Token {secret(name)}" "{basic(secret(name))}";' for name in TOKENS)
    places = "\n".join(
        f"{kind}_temp_path {WORK}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off; worker_processes 1; pid {WORK}/nginx.pid; error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off; {places} client_max_body_size 64m; client_body_buffer_size 8m; map_hash_bucket_size 512;
  map $arg_precision $precision {{ default n; us u; ms ms; s s; }}
  map $http_authorization $login {{ default ""; {known} }}
  server {{
    listen 8086;
    proxy_set_header Authorization $login;
    location = /api/v2/write {{
      if ($login = "") {{ return 401 '{{"code":"unauthorized","message":"unauthorized access"}}'; }}
      rewrite ^ /write?db=$arg_bucket&precision=$precision? break;
      proxy_pass {ENGINE};
    }}
    location = /query {{ proxy_pass {ENGINE}; }}
    location = /ping {{ proxy_pass {ENGINE}; }}
    location = /health {{ default_type application/json; return 200 '{{"name":"influxdb","status":"pass"}}'; }}
  }}
}}
"""


def main() -> int:
    WORK.mkdir(exist_ok=True)
    (WORK / "influxd.conf").write_text(influxd_conf())
    (WORK / "nginx.conf").write_text(nginx_conf())
    running = [subprocess.Popen(["influxd", "run", "-config", str(WORK / "influxd.conf")])]

    def end(*_: object) -> None:
        for process in running:
            process.terminate()

    signal.signal(signal.SIGTERM, end)
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{ENGINE}/ping", timeout=2).close()
            break
        except OSError:
            if running[0].poll() is not None or time.monotonic() > deadline:
                return 1
            time.sleep(0.1)
    set_up()
    running.append(subprocess.Popen(["nginx", "-p", str(WORK), "-c", str(WORK / "nginx.conf")]))
    while all(process.poll() is None for process in running):
        time.sleep(0.2)
    end()
    return max(abs(process.wait(20)) for process in running)


if __name__ == "__main__":
    sys.exit(main())
