"""A further gateway for a stack that stands, and with it a further site: `tiltline init-stack FOLDER --add`.

A further site has its own users at the broker, its own bridge with its own queue, its own bucket and its own organisation in
Grafana. Whoever belongs to it reaches nothing of the others'. Its files lie in ``sites/SITE``; what a further gateway needs lies
in ``gateways/GATEWAY``, to be carried to its machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sensor_gateway.stack.access import SiteUsers, gateway_access, password_line, site_access
from sensor_gateway.stack.folder import MOSQUITTO, PUBLIC, TILTLINE, Folder, Made
from sensor_gateway.stack.settings import bridge_toml, further_gateway_toml, therapist_toml
from sensor_gateway.stack.site import SitePlan, put_database

PASSWD: Final = "mosquitto/passwd"  # noqa: S105 - the name of a file
ACL: Final = "mosquitto/acl"


def add_gateway(root: Path, plan: SitePlan) -> Made:
    """Add a gateway, and its site where that is new. Raises ValueError where there is no stack, or a user of that name."""
    if not (root / "certs" / "ca.crt").exists():
        raise ValueError(f"{root} holds no stack yet; run it once without --add")
    folder = Folder(root)
    known = {line.partition(":")[0] for line in folder.text(PASSWD).splitlines()}
    if plan.gateway in known:
        raise ValueError(f"the broker knows a user {plan.gateway!r} already; give the gateway another name")
    passwords, access = folder.text(PASSWD), folder.text(ACL)
    place = ""
    if not (root / "grafana" / "datasources" / f"{plan.site}.yaml").exists():
        place = f"sites/{plan.site}/"
        organisation = 1 + len(list((root / "grafana" / "datasources").glob("*.yaml")))
        users = SiteUsers(f"bridge-{plan.site}", f"therapist-{plan.site}")
        bucket = f"tiltline-{plan.site}"
        _put_site(folder, place, plan, users, bucket, organisation)
        for user, secret in ((users.bridge, "mqtt_bridge_password"), (users.therapist, "mqtt_therapist_password")):
            passwords += password_line(user, folder.text(f"{place}secrets/{secret}")) + "\n"
        access += site_access(plan.site, users)
    elif (root / "sites" / plan.site).exists():
        place = f"sites/{plan.site}/"
    home = f"gateways/{plan.gateway}/"
    folder.put_secrets({f"{home}mqtt_gateway_password": None})
    folder.put(f"{home}command_key_therapist", folder.text(f"{place}secrets/command_key_therapist"), 0o400)
    folder.put(f"{home}ca.crt", folder.text("certs/ca.crt"), PUBLIC)
    host = next((name for name in plan.names if name not in SitePlan().names), "localhost")
    folder.put(f"{home}gateway.toml", further_gateway_toml(plan.site, plan.gateway, plan.wearers, host), 0o600)
    passwords += password_line(plan.gateway, folder.text(f"{home}mqtt_gateway_password")) + "\n"
    # Last, so that a run that was cut short can be run again.
    folder.put(ACL, access + gateway_access(plan.site, plan.gateway, plan.wearers), 0o400, MOSQUITTO, again=True)
    folder.put(PASSWD, passwords, 0o400, MOSQUITTO, again=True)
    return folder.out


def _put_site(folder: Folder, place: str, plan: SitePlan, users: SiteUsers, bucket: str, organisation: int) -> None:
    secrets = {"mqtt_bridge_password": TILTLINE, "mqtt_therapist_password": None, "command_key_therapist": None}
    folder.put_secrets({f"{place}secrets/{name}": owner for name, owner in secrets.items()})
    folder.put(f"{place}bridge.toml", bridge_toml(plan.site, users.bridge, bucket), PUBLIC)
    folder.put(f"{place}therapist.toml", therapist_toml(plan.site, users.therapist, "../../"), 0o400)
    folder.put(f"{place}compose.yml", _compose(plan.site), PUBLIC)
    put_database(folder, place, plan.site, bucket, organisation, influx_users=plan.influx_users)


def _compose(site: str) -> str:
    """The site's bridge beside the first one's, and its token for Grafana; paths are as docker-compose.yml sees them."""
    here = f"./stack/sites/{site}"
    return f"""# Site {site}: docker compose -f docker-compose.yml -f {here}/compose.yml up -d
services:
  bridge-{site}:
    image: tiltline:0.1.0
    command: ["bridge", "--config", "/etc/tiltline/bridge.toml"]
    user: "10001:10001"
    restart: unless-stopped
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 30s
    tmpfs: ["/tmp:size=64m,mode=1777"]
    logging:
      driver: json-file
      options: {{max-size: 10m, max-file: "5"}}
    depends_on:
      mosquitto: {{condition: service_healthy}}
      influxdb: {{condition: service_healthy}}
    networks: [messages, data]
    secrets:
      - {{source: mqtt_bridge_password_{site}, target: mqtt_bridge_password}}
      - {{source: influx_write_token_{site}, target: influx_write_token}}
    volumes:
      - {here}/bridge.toml:/etc/tiltline/bridge.toml:ro
      - ./stack/certs/ca.crt:/etc/tiltline/ca.crt:ro
      - bridge-{site}-data:/var/lib/tiltline
    healthcheck:
      test: ["CMD", "tiltline", "doctor", "--config", "/etc/tiltline/bridge.toml"]
      interval: 60s
      timeout: 20s
      retries: 3
      start_period: 30s
  grafana:
    secrets: [influx_read_token_{site}]

volumes:
  bridge-{site}-data: {{}}

secrets:
  mqtt_bridge_password_{site}: {{file: {here}/secrets/mqtt_bridge_password}}
  influx_write_token_{site}: {{file: {here}/secrets/influx_write_token}}
  influx_read_token_{site}: {{file: {here}/secrets/influx_read_token}}
"""
