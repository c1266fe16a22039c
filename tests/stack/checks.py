"""What is looked at in the running stack: the records, who the processes are and what they may, and the doors."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import ssl
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from tests.faults import verify
from tests.stack.podman import SERVICES, Podman

ASK = """
import json, sys, urllib.parse, urllib.request
body = urllib.parse.urlencode({"q": sys.argv[1], "db": "tiltline", "epoch": "ns"})
asked = urllib.request.Request("http://influxdb:8086/query?" + body, headers={"Authorization": "Token " + sys.argv[2]})
print(urllib.request.urlopen(asked, timeout=60).read().decode())
"""

KNOCK = """
import sys, urllib.error, urllib.request
path, token, body = sys.argv[1:]
headers = {"Authorization": "Token " + token} if token else {}
try:
    asked = urllib.request.Request("http://influxdb:8086" + path, body.encode() or None, headers)
    print(urllib.request.urlopen(asked, timeout=20).status)
except urllib.error.HTTPError as e:
    print(e.code)
"""


class Database:
    """InfluxDB as `tests.faults.verify` asks it; from inside the bridge's container, since nobody else reaches it."""

    def __init__(self, podman: Podman, token: str) -> None:
        self._podman, self._token = podman, token

    def query(self, text: str) -> list[dict[str, Any]]:
        answer = json.loads(self._podman.inside("bridge", "python3", "-c", ASK, text, self._token))
        series = answer["results"][0].get("series", [])
        return [
            {**s.get("tags", {}), **dict(zip(s["columns"], row, strict=True))} for s in series for row in s["values"]
        ]


def record_count(store: Path, kind: str) -> int:
    """Records of a kind in an embedded store that is being written."""
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        return int(db.execute(f"SELECT count(*) FROM {kind}").fetchone()[0])
    finally:
        db.close()


def database_rows(podman: Podman, token: str) -> tuple[list[str], int, int]:
    """Ways in which the database differs from the gateway's own store; points in the one, records in the other."""
    with tempfile.TemporaryDirectory() as folder:
        for path in podman.volume("gateway-data").glob("store.db*"):
            shutil.copy(path, folder)
        want = verify.expected_rows(Path(folder) / "store.db")
    have, points = verify.database_rows(Database(podman, token))
    return verify.compare("database", want, have), points, sum(map(len, want.values()))


def hardening(podman: Podman) -> tuple[dict[str, list[int]], list[str]]:
    """User ids of every process by service, and what is softer than the compose file says."""
    users, wrong = {}, []
    for service in SERVICES:
        users[service] = []
        for pid in podman.processes(service):
            status = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
            )
            uids = {int(word) for word in status["Uid"].split()}
            users[service] += sorted(uids)
            if 0 in uids:
                wrong.append(f"{service}: {status['Name']} runs as root")
            if any(int(status[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")):
                wrong.append(f"{service}: {status['Name']} keeps capabilities")
            if status["NoNewPrivs"] != "1":
                wrong.append(f"{service}: {status['Name']} may gain privileges")
        if not users[service]:
            wrong.append(f"{service}: no process seen")
        mounts = podman.inside(service, "cat", "/proc/self/mounts")
        root = re.search(r"^\S+ / \S+ (\S+)", mounts, re.MULTILINE)
        if root is None or "ro" not in root[1].split(","):
            wrong.append(f"{service}: its root file system is writable")
    return users, wrong


def database_doors(podman: Podman, stack: Path) -> list[str]:
    """What a token should not do in the database and does: nobody's, the writer's that reads, the reader's that writes."""
    write, read = ((stack / "secrets" / f"influx_{kind}_token").read_text() for kind in ("write", "read"))
    question, line = (
        "/query?db=tiltline&q=SELECT+count(coverage)+FROM+tilt",
        "/api/v2/write?org=tiltline&bucket=tiltline",
    )
    wrong = []
    for what, token, path, body, expected in (
        ("no token that reads", "", question, "", (401,)),
        ("the bridge's token that reads", write, question, "", (401, 403)),
        ("Grafana's token that reads", read, question, "", (200,)),
        ("Grafana's token that writes", read, line, "door open=1", (401, 403)),
        ("another token that writes", "bridge-home:wrong", line, "door open=1", (401,)),
    ):
        got = int(podman.inside("bridge", "python3", "-c", KNOCK, path, token, body))
        if got not in expected:
            wrong.append(f"influxdb: {what} gets {got}, not {' or '.join(map(str, expected))}")
    return wrong


def broker_doors(stack: Path) -> list[str]:
    """Ways into the broker that should be closed and are not."""
    wrong = []
    ca, user = stack / "certs" / "ca.crt", ("gw-1", (stack / "secrets" / "mqtt_gateway_password").read_text())
    for what, expected, tls, log_in in (
        ("the right password", True, ca, user),
        ("no password", False, ca, None),
        ("a wrong password", False, ca, ("gw-1", "wrong")),
        ("no TLS", False, None, user),
    ):
        if _lets_in(tls, log_in) is not expected:
            wrong.append(f"mosquitto: {what} {'is refused' if expected else 'is let in'}")
    return wrong + _old_tls("mosquitto", 8883, ca)


def _lets_in(ca: Path | None, log_in: tuple[str, str] | None) -> bool:
    answers: list[ReasonCode] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="door", protocol=mqtt.MQTTv5)
    client.on_connect = lambda _c, _u, _f, reason, _p: answers.append(reason)
    if ca is not None:
        client.tls_set(str(ca))
    if log_in is not None:
        client.username_pw_set(*log_in)
    try:
        client.connect("localhost", 8883)
        for _ in range(50):
            if client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS or answers:
                break
    except (OSError, ssl.SSLError):
        return False
    finally:
        client.disconnect()
    return bool(answers) and not answers[0].is_failure


def _old_tls(service: str, port: int, ca: Path) -> list[str]:
    """TLS 1.1 must be refused and 1.2 taken."""
    wrong = []
    for version, expected in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
        context = ssl.create_default_context(cafile=str(ca))
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else our own side would be the one that refuses
        context.minimum_version = context.maximum_version = version
        try:
            with (
                socket.create_connection(("localhost", port), timeout=5) as raw,
                context.wrap_socket(raw, server_hostname="localhost"),
            ):
                taken = True
        except OSError:
            taken = False
        if taken is not expected:
            wrong.append(f"{service}: {version.name} is {'refused' if expected else 'taken'}")
    return wrong


def page_doors(stack: Path) -> list[str]:
    """The wearer's page over HTTPS: nothing without a token, the wearer's own with hers, and no plain HTTP."""
    wrong = _old_tls("page", 8080, stack / "certs" / "ca.crt")
    token = (stack / "secrets" / "page_wearer_token").read_text()
    for what, expected, scheme, headers in (
        ("the wearer's token", 200, "https", {"Authorization": f"Bearer {token}"}),
        ("no token", 401, "https", {}),
        ("a wrong token", 401, "https", {"Authorization": "Bearer wrong"}),
        ("plain HTTP", 0, "http", {"Authorization": f"Bearer {token}"}),
    ):
        if (got := _answer(stack, scheme, headers)) != expected:
            wrong.append(f"page: {what} gets {got or 'no answer'}, not {expected or 'none'}")
    return wrong


def _answer(stack: Path, scheme: str, headers: dict[str, str]) -> int:
    context = ssl.create_default_context(cafile=str(stack / "certs" / "ca.crt"))
    request = urllib.request.Request(f"{scheme}://localhost:8080/api/today", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as e:
        return e.code
    except OSError:
        return 0
