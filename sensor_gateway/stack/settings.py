"""The settings files of a site's gateway, bridge and therapist, as `tiltline init-stack` writes them."""

from __future__ import annotations

from collections.abc import Sequence


def gateway_toml(site: str, gateway: str, wearers: Sequence[str]) -> str:
    """A gateway with its doors: page tokens and who may command. A further gateway's differs in where its broker is."""
    sensors = "".join(
        f'[[sensors]]\nid = "clip-{i}"\nwearer = "{wearer}"\ndriver = "open"\n'
        'address = "00:00:00:00:00:00"                     # the clip\'s radio address\n\n'
        for i, wearer in enumerate(wearers, 1)
    )
    return f"""# The gateway inside the compose stack. All keys: config/gateway.example.toml.
study = "/etc/tiltline/study.toml"

[site]
id = "{site}"
gateway = "{gateway}"                                  # also its name at the broker
timezone = "UTC"
data_dir = "/var/lib/tiltline"

{sensors}[web]
host = "0.0.0.0"                                  # inside the container; compose publishes it on this machine only
port = 8080
certificate = "/etc/tiltline/page.crt"            # HTTPS, signed by the site's authority (stack/certs/ca.crt)
key = "/etc/tiltline/page.key"

[[web.tokens]]
role = "therapist"
file = "/run/secrets/page_therapist_token"

[[web.tokens]]
role = "wearer"
wearer = "{wearers[0]}"
file = "/run/secrets/page_wearer_token"

[[commands.issuers]]
id = "therapist"
key_file = "/run/secrets/command_key_therapist"

{_mqtt(gateway, "mqtt_gateway_password")}"""


def further_gateway_toml(site: str, gateway: str, wearers: Sequence[str], host: str) -> str:
    """A gateway on a machine of its own, with its files beside this one; its page stays on that machine."""
    sensors = "".join(
        f'[[sensors]]\nid = "clip-{i}"\nwearer = "{wearer}"\ndriver = "open"\naddress = "00:00:00:00:00:00"\n\n'
        for i, wearer in enumerate(wearers, 1)
    )
    return f"""# A further gateway: carry this folder to its machine, then `tiltline run --config gateway.toml`.
[site]
id = "{site}"
gateway = "{gateway}"                                  # also its name at the broker
timezone = "UTC"
data_dir = "data"

{sensors}[[commands.issuers]]
id = "therapist"
key_file = "command_key_therapist"

[mqtt]
enabled = true
host = "{host}"                                   # the stack's machine, under a name in its certificate
port = 8883
ca_file = "ca.crt"
username = "{gateway}"
password_file = "mqtt_gateway_password"
"""


def bridge_toml(site: str, user: str, bucket: str) -> str:
    """The bridge of a site inside the stack."""
    return f"""# The bridge inside the compose stack. It has no sensors and no page.
[site]
id = "{site}"
gateway = "bridge"
data_dir = "/var/lib/tiltline"                    # its own durable queue

[web]
enabled = false

{_mqtt(user, "mqtt_bridge_password")}
[influx]
url = "http://influxdb:8086"
org = "tiltline"
bucket = "{bucket}"
token_file = "/run/secrets/influx_write_token"
"""


def therapist_toml(site: str, user: str, stack: str) -> str:
    """For `tiltline command` on this machine; ``stack`` is the way from this file's folder to the stack's."""
    return f"""# For `tiltline command --config THIS --issuer therapist --key-file .../command_key_therapist`.
[site]
id = "{site}"

[mqtt]
enabled = true
host = "localhost"
ca_file = "{stack}certs/ca.crt"
username = "{user}"
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
