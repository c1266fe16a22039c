"""A site's private folder (``stack/`` beside docker-compose.yml), made once and completed or rotated later.

Nothing that exists is overwritten unless it is rotated, settings never. Nothing secret is printed or returned: names of
files only. The folder is closed to everybody but its owner; within it, files that containers read as users of their own
belong to those users where we may give them away (root), and are readable within the closed folder where we may not.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sensor_gateway.stack.access import BRIDGE, THERAPIST, access_list, password_line
from sensor_gateway.stack.certificates import make_authority, make_server

MOSQUITTO, INFLUX, GRAFANA, TILTLINE = 1883, 1000, 472, 10001
OWNERS: Final = {
    "secrets/mqtt_gateway_password": TILTLINE,
    "secrets/mqtt_bridge_password": TILTLINE,
    "secrets/page_therapist_token": TILTLINE,
    "secrets/page_wearer_token": TILTLINE,
    "secrets/command_key_therapist": TILTLINE,
    "secrets/mqtt_therapist_password": None,
    "secrets/influx_admin_password": INFLUX,
    "secrets/influx_admin_token": INFLUX,
    "secrets/grafana_admin_password": GRAFANA,
}
"""Each secret and the container user that reads it; None stays with whoever runs the site."""
FIRST_START_ONLY: Final = ("influx_admin_password", "influx_admin_token", "grafana_admin_password")
"""Read by their programs at the first start only: a new file would change nothing there, so they are not rotated."""


@dataclass(frozen=True, slots=True)
class SitePlan:
    """Whose stack it is."""

    site: str = "home"
    gateway: str = "gw-1"
    wearers: tuple[str, ...] = ("w-001",)
    names: tuple[str, ...] = ("mosquitto", "localhost", "127.0.0.1")  # of the broker, as gateways call it


@dataclass(slots=True)
class Made:
    """File names, relative to the folder."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def init_stack(folder: Path, plan: SitePlan, *, rotate: bool = False) -> Made:
    """Make what is missing; with ``rotate`` also new passwords, tokens, keys and a new server certificate."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    out = Made()

    def put(name: str, content: bytes, mode: int, owner: int | None, *, again: bool = False) -> None:
        path = folder / name
        if path.exists() and not again:
            out.kept.append(name)
            return
        _write(path, content, mode, owner)
        out.made.append(name)

    for name, owner in OWNERS.items():
        renew = rotate and Path(name).name not in FIRST_START_ONLY
        put(name, secrets.token_hex(32).encode(), 0o400, owner, again=renew)
    ca, ca_key = folder / "certs" / "ca.crt", folder / "certs" / "ca.key"
    if not ca.exists():
        certificate, key = make_authority(plan.site)
        put("certs/ca.crt", certificate, 0o444, None)
        put("certs/ca.key", key, 0o400, None)
    if rotate and not ca_key.exists():
        raise ValueError(f"{ca_key} is not here; put the authority's key back while the server certificate is renewed")
    if ca_key.exists():
        certificate, key = make_server(ca.read_bytes(), ca_key.read_bytes(), plan.names)
        renew = rotate or not (folder / "certs" / "server.key").exists()
        put("certs/server.crt", certificate, 0o444, None, again=renew)
        put("certs/server.key", key, 0o400, MOSQUITTO, again=renew)
    users = {plan.gateway: "mqtt_gateway_password", BRIDGE: BRIDGE_SECRET, THERAPIST: "mqtt_therapist_password"}
    lines = [password_line(user, (folder / "secrets" / name).read_text()) for user, name in users.items()]
    passwd = folder / "mosquitto" / "passwd"
    others = [line for line in _lines(passwd) if line.partition(":")[0] not in users]  # gateways that were added since
    put("mosquitto/passwd", ("\n".join([*lines, *others]) + "\n").encode(), 0o400, MOSQUITTO, again=rotate)
    acl = access_list(plan.site, {plan.gateway: plan.wearers})
    put("mosquitto/acl", acl.encode(), 0o400, MOSQUITTO)
    put("gateway.toml", gateway_toml(plan).encode(), 0o444, None)
    put("bridge.toml", bridge_toml(plan).encode(), 0o444, None)
    put("therapist.toml", therapist_toml(plan).encode(), 0o400, None)
    put(
        "study.toml",
        b"# Rules, quiet hours and programme; what is left out is the default (config/study.example.toml).\n",
        0o444,
        None,
    )
    put(".env", f"TILTLINE_SITE={plan.site}\nTILTLINE_MQTT_BIND=127.0.0.1\n".encode(), 0o600, None)
    return out


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


BRIDGE_SECRET: Final = "mqtt_bridge_password"  # noqa: S105 - the name of a file


def _write(path: Path, content: bytes, mode: int, owner: int | None) -> None:
    """Whole or not at all, and never readable by others on the way."""
    path.parent.mkdir(mode=0o755, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if owner is not None and os.geteuid() == 0:
        os.chown(new, owner, owner)
    elif owner is not None:
        mode |= 0o044  # read by another user inside a folder that is closed to all but its owner
    new.chmod(mode)
    new.replace(path)


def gateway_toml(plan: SitePlan) -> str:
    """The gateway inside the stack, with its doors: page tokens and who may command."""
    sensors = "".join(
        f'[[sensors]]\nid = "clip-{i}"\nwearer = "{wearer}"\ndriver = "open"\n'
        'address = "00:00:00:00:00:00"                     # the clip\'s radio address\n\n'
        for i, wearer in enumerate(plan.wearers, 1)
    )
    return f"""# The gateway inside the compose stack. All keys: config/gateway.example.toml.
study = "/etc/tiltline/study.toml"

[site]
id = "{plan.site}"
gateway = "{plan.gateway}"                                  # also its name at the broker
timezone = "UTC"
data_dir = "/var/lib/tiltline"

{sensors}[web]
host = "0.0.0.0"                                  # inside the container; compose publishes it on this machine only
port = 8080

[[web.tokens]]
role = "therapist"
file = "/run/secrets/page_therapist_token"

[[web.tokens]]
role = "wearer"
wearer = "{plan.wearers[0]}"
file = "/run/secrets/page_wearer_token"

[[commands.issuers]]
id = "therapist"
key_file = "/run/secrets/command_key_therapist"

{_mqtt(plan.gateway, "mqtt_gateway_password")}"""


def bridge_toml(plan: SitePlan) -> str:
    """The bridge inside the stack."""
    return f"""# The bridge inside the compose stack. It has no sensors and no page.
[site]
id = "{plan.site}"
gateway = "bridge"
data_dir = "/var/lib/tiltline"                    # its own durable queue

[web]
enabled = false

{_mqtt(BRIDGE, BRIDGE_SECRET)}
[influx]
url = "http://influxdb:8086"
org = "tiltline"
bucket = "tiltline"
token_file = "/run/secrets/influx_write_token"
"""


def therapist_toml(plan: SitePlan) -> str:
    """For `tiltline command` on this machine."""
    return f"""# For `tiltline command --config stack/therapist.toml --issuer therapist --key-file stack/secrets/command_key_therapist`.
[site]
id = "{plan.site}"

[mqtt]
enabled = true
host = "localhost"
ca_file = "certs/ca.crt"
username = "{THERAPIST}"
password_file = "secrets/mqtt_therapist_password"
"""


def _mqtt(user: str, secret: str) -> str:
    return f"""[mqtt]
enabled = true
host = "mosquitto"
port = 8883
ca_file = "/etc/tiltline/ca.crt"
username = "{user}"
password_file = "/run/secrets/{secret}"
"""


def names_of(made: Sequence[str]) -> str:
    """For people: the files, without what is in them."""
    return ", ".join(made) or "nothing"
