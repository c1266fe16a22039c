"""A stack's private folder (``stack/`` beside docker-compose.yml), made once and completed or rotated later.

Nothing that exists is overwritten unless it is rotated, settings never. Further gateways and sites: `further.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensor_gateway.stack.access import SiteUsers, gateway_access, password_line, site_access
from sensor_gateway.stack.certificates import make_authority, make_server
from sensor_gateway.stack.database import FIRST_BUCKET, dashboard_provider, data_source, statements, user_token
from sensor_gateway.stack.folder import GRAFANA, INFLUX, MOSQUITTO, PUBLIC, TILTLINE, Folder, Made
from sensor_gateway.stack.settings import bridge_toml, gateway_toml, therapist_toml

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
SERVERS: Final = {"server": MOSQUITTO, "page": TILTLINE, "grafana": GRAFANA}
"""Certificates, each with its own key: of the broker, the wearer's page and Grafana."""
FIRST_START_ONLY: Final = ("influx_admin_password", "influx_admin_token", "grafana_admin_password")
"""Read by their programs at the first start only: a new file would change nothing there, so they are not rotated."""
STUDY: Final = "# Rules, quiet hours and programme; what is left out is the default (config/study.example.toml).\n"


@dataclass(frozen=True, slots=True)
class SitePlan:
    """Whose stack it is. ``influx_users``: for InfluxDB 1, whose users are made up here instead of tokens there."""

    site: str = "home"
    gateway: str = "gw-1"
    wearers: tuple[str, ...] = ("w-001",)
    names: tuple[str, ...] = ("mosquitto", "localhost", "127.0.0.1")  # of broker, page and Grafana, as others call them
    influx_users: bool = False


def init_stack(root: Path, plan: SitePlan, *, rotate: bool = False) -> Made:
    """Make what is missing; with ``rotate`` also new passwords, tokens, keys and server certificates."""
    folder = Folder(root)
    kept = {name for name in OWNERS if Path(name).name in FIRST_START_ONLY}
    folder.put_secrets(OWNERS, frozenset(OWNERS.keys() - kept) if rotate else frozenset())
    put_certificates(folder, plan, rotate)
    put_broker(folder, plan, rotate)
    put_database(folder, "", plan.site, FIRST_BUCKET, 1, influx_users=plan.influx_users)
    users = SiteUsers()
    folder.put("gateway.toml", gateway_toml(plan.site, plan.gateway, plan.wearers), PUBLIC)
    folder.put("bridge.toml", bridge_toml(plan.site, users.bridge, FIRST_BUCKET), PUBLIC)
    folder.put("therapist.toml", therapist_toml(plan.site, users.therapist, ""), 0o400)
    folder.put("study.toml", STUDY, PUBLIC)
    return folder.out


def put_certificates(folder: Folder, plan: SitePlan, rotate: bool) -> None:
    """The authority once, and the servers' certificates for as long as its key is here."""
    ca, ca_key = folder.root / "certs" / "ca.crt", folder.root / "certs" / "ca.key"
    if not ca.exists():
        certificate, key = make_authority(plan.site)
        folder.put("certs/ca.crt", certificate, PUBLIC)
        folder.put("certs/ca.key", key, 0o400)
    whole = all((folder.root / "certs" / f"{name}.{part}").exists() for name in SERVERS for part in ("crt", "key"))
    if not ca_key.exists() and (rotate or not whole):
        raise ValueError(
            f"{ca_key} is not here; put the authority's key back while the server certificates are renewed"
        )
    if not ca_key.exists():
        return
    for name, owner in SERVERS.items():
        certificate, key = make_server(ca.read_bytes(), ca_key.read_bytes(), plan.names)
        renew = rotate or not (folder.root / "certs" / f"{name}.key").exists()
        folder.put(f"certs/{name}.crt", certificate, PUBLIC, again=renew)
        folder.put(f"certs/{name}.key", key, 0o400, owner, again=renew)


def put_broker(folder: Folder, plan: SitePlan, rotate: bool) -> None:
    """Password file and access list; users that were added since keep their passwords."""
    site = SiteUsers()
    users = {
        plan.gateway: "mqtt_gateway_password",
        site.bridge: "mqtt_bridge_password",
        site.therapist: "mqtt_therapist_password",
    }
    lines = [password_line(user, folder.text(f"secrets/{name}")) for user, name in users.items()]
    others = [line for line in folder.text("mosquitto/passwd").splitlines() if line.partition(":")[0] not in users]
    folder.put("mosquitto/passwd", "\n".join([*lines, *others]) + "\n", 0o400, MOSQUITTO, again=rotate)
    access = site_access(plan.site, site) + gateway_access(plan.site, plan.gateway, plan.wearers)
    folder.put("mosquitto/acl", f"# Made by `tiltline init-stack`.\n{access}", 0o400, MOSQUITTO)


def put_database(folder: Folder, place: str, site: str, bucket: str, organisation: int, *, influx_users: bool) -> None:
    """Grafana's organisation of a site; with ``influx_users`` also the database's users. ``place`` ends in a slash or is empty."""
    read_token = "influx_read_token" if not place else f"influx_read_token_{site}"
    folder.put(f"grafana/datasources/{site}.yaml", data_source(organisation, bucket, read_token), PUBLIC)
    folder.put(f"grafana/dashboards/{site}.yaml", dashboard_provider(organisation, site), PUBLIC)
    if influx_users:
        write, read = f"{place}secrets/influx_write_token", f"{place}secrets/influx_read_token"
        folder.put(write, user_token(f"bridge-{site}"), 0o400, TILTLINE)
        folder.put(read, user_token(f"grafana-{site}"), 0o400, GRAFANA)
        made = statements(bucket, folder.text(write), folder.text(read))
        folder.put(f"{place}influxdb-1.iql", made, 0o400, INFLUX)
