"""`make stack-test`: the compose stack started in podman, loaded, killed service by service, and judged.

The files are the project's own (docker-compose.yml, Dockerfile, `tiltline init-stack`); `compose.override.yml` changes the images of
broker and database to Debian's programs and leaves Grafana out. Four simulated wearers send more than 20,000 records over MQTT
with TLS while each service is killed once with SIGKILL; every one must then lie in InfluxDB as in the gateway's own store.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.stack.checks import broker_doors, database_doors, database_rows, hardening, page_doors, record_count
from tests.stack.podman import ROOT, SERVICES, Podman, Pulse, StackError, until

WEARERS = ("w-001", "w-002", "w-003", "w-004")
START, UNTIL, SECONDS = "2026-03-02T08:00:00+00:00", "2026-03-02T09:30:00+00:00", 5400
LEAST = 20_000
KILL_AT = {2_000: "bridge", 6_000: "mosquitto", 10_000: "influxdb", 14_000: "gateway"}
"""At so many confirmed records the service is killed with SIGKILL and started again."""


def lay_out(site: Path, own_command: list[str]) -> None:
    """The site's folder as its operator has it: compose file, settings, and what `tiltline init-stack` makes."""
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    shutil.copy(ROOT / "docker-compose.yml", site)
    shutil.copy(ROOT / "tests" / "stack" / "compose.override.yml", site)
    shutil.copytree(ROOT / "config", site / "config")
    (site / "dashboards").symlink_to(ROOT / "dashboards")
    wearers = [word for wearer in WEARERS for word in ("--wearer", wearer)]
    subprocess.run(
        [*own_command, "init-stack", "stack", "--influx-users", *wearers], cwd=site, check=True, capture_output=True
    )
    gateway = site / "stack" / "gateway.toml"
    text = gateway.read_text()
    old = 'driver = "open"\naddress = "00:00:00:00:00:00"                     # the clip\'s radio address\n'
    for seed in range(1, len(WEARERS) + 1):
        new = f'driver = "synthetic"\noptions = {{ seed = {seed}, start = "{START}", until = "{UNTIL}" }}\n'
        if old not in text:
            raise StackError("the sensors in stack/gateway.toml are not written as this trial knows them")
        text = text.replace(old, new, 1)
    gateway.chmod(0o600)
    gateway.write_text(text)
    gateway.chmod(0o444)
    for name in (
        "influx_write_token",
        "influx_read_token",
    ):  # the database's start reads them besides bridge and Grafana
        (site / "stack" / "secrets" / name).chmod(0o444)


def hops(podman: Podman, service: str) -> dict[str, dict[str, int]]:
    """The books of gateway or bridge, by hop, as `tiltline status` gives them inside the container."""
    state = podman.json_of(service, "tiltline", "status", "--config", f"/etc/tiltline/{service}.toml", "--json")
    return {hop["name"]: hop for part in state.values() for hop in part["hops"]}


def confirmed(podman: Podman) -> int:
    """Records of which the bridge has said that they are durable."""
    return int(hops(podman, "gateway").get("mqtt", {}).get("written", 0))


def done(podman: Podman) -> bool:
    """Whether every sensor's tape has ended and nothing waits anywhere."""
    gateway, bridge = hops(podman, "gateway"), hops(podman, "bridge")
    if not gateway or not bridge:
        return False
    if any(hop["queued"] for hop in (*gateway.values(), *bridge.values())):
        return False
    return record_count(podman.volume("gateway-data") / "store.db", "metric") >= SECONDS * len(WEARERS) - len(WEARERS)


def load(podman: Podman) -> list[str]:
    """Wait for the records; kill each service on the way. What was done, in words."""
    said = []
    for at, service in KILL_AT.items():
        until(f"{at} confirmed records", lambda at=at: confirmed(podman) >= at, 300)
        podman.call("kill", "--signal", "KILL", podman.name(service))
        podman.call("start", podman.name(service))
        back_s = until(f"{service} well again", lambda service=service: podman.healthy(service), 120)
        said.append(f"{service} killed at {at} records, well again after {back_s:.1f} s")
    until("all records delivered", lambda: done(podman), 600)
    return said


def receipt(site: Path, own_command: list[str]) -> bool:
    """Whether the gateway answers a signed command that comes over the broker from outside the containers."""
    words = ["command", "--json", "--config", "stack/therapist.toml", "--issuer", "therapist", "--gateway", "gw-1"]
    words += ["--wearer", WEARERS[0], "--key-file", "stack/secrets/command_key_therapist", "snooze", "--minutes", "5"]
    asked = subprocess.run([*own_command, *words], cwd=site, capture_output=True, text=True, timeout=60, check=False)
    return "id" in json.loads(asked.stdout or "{}")


def judge(podman: Podman, site: Path, report: dict[str, Any]) -> None:
    """Database against the gateway's own store, the books, the doors, and what the processes may do."""
    wrong: list[str] = report["wrong"]
    read = (site / "stack" / "secrets" / "influx_read_token").read_text()
    lost, report["stored"], report["sent"] = database_rows(podman, read)
    wrong += lost
    books = hops(podman, "gateway") | hops(podman, "bridge")
    report["books"] = {name: {k: hop[k] for k in ("received", "written", "queued")} for name, hop in books.items()}
    for name, hop in books.items():
        if hop["rejected"] or hop["dropped"] or hop["queued"] or hop["missing"]:
            wrong.append(f"{name}: the books show a loss: {hop}")
    if report["sent"] < LEAST:
        wrong.append(f"only {report['sent']} records were sent; the bar is {LEAST}")
    report["processes"], found = hardening(podman)
    wrong += found + broker_doors(site / "stack") + page_doors(site / "stack") + database_doors(podman, site / "stack")


@contextmanager
def started(podman: Podman, site: Path) -> Iterator[None]:
    """The services of the compose file but Grafana, well; everything is taken away afterwards."""
    pulse = Pulse(podman)
    pulse.start()
    try:
        podman.compose(site, "up", "--detach", "--no-build", *SERVICES)
        for service in SERVICES:
            until(f"{service} well", lambda service=service: podman.healthy(service), 180)
        yield
    except (StackError, subprocess.TimeoutExpired):
        for service in SERVICES:
            print(f"--- {service}\n{podman.log(service)}", file=sys.stderr)
        raise
    finally:
        pulse.done.set()
        pulse.join()
        podman.away()


def trial(podman: Podman, base: Path, site: Path) -> dict[str, Any]:
    own_command = [sys.executable, "-m", "sensor_gateway.cli"]
    report: dict[str, Any] = {"wrong": []}
    began = time.monotonic()
    podman.prepare()
    podman.away()
    podman.build(base)
    report["built_s"] = round(time.monotonic() - began)
    lay_out(site, own_command)
    with started(podman, site):
        report["up_s"] = round(time.monotonic() - began - report["built_s"])
        report["killed"] = load(podman)
        judge(podman, site, report)
        for service in SERVICES:
            podman.call("restart", "--time", "30", podman.name(service))
            until(f"{service} well after its restart", lambda service=service: podman.healthy(service), 120)
        answered_s = until("a receipt after all restarts", lambda: receipt(site, own_command), 60)
        report["receipt_after_restarts_s"] = round(answered_s, 1)
        after: dict[str, Any] = {"wrong": report["wrong"]}
        judge(podman, site, after)
        report["stored_after_restarts"] = after["stored"]
    report["took_s"] = round(time.monotonic() - began)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stack", description=__doc__.split("\n\n")[0])
    parser.add_argument("cache", type=Path, help="where images and wheels are kept")
    parser.add_argument("suite", help="Debian release of the base image")
    parser.add_argument("--report", type=Path, help="write the result here as JSON")
    options = parser.parse_args()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # the network of our own has nothing but this
    podman = Podman(options.cache)
    Path("/run/dbus").mkdir(exist_ok=True)  # the compose file hands it to the gateway; here nobody speaks on it
    try:
        report = trial(podman, options.cache / f"base-{options.suite}.tar", options.cache / "site")
    except (StackError, subprocess.TimeoutExpired, subprocess.CalledProcessError) as e:
        print(f"stack test: {e}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(options.cache / "site", ignore_errors=True)
    text = json.dumps(report, indent=1)
    print(text)
    if options.report:
        options.report.write_text(text + "\n")
    print(f"{report['stored']} of {report['sent']} messages stored over TLS; {len(report['wrong'])} things wrong")
    return int(bool(report["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
