"""A site's bucket in the database, who may read and write it, and Grafana's organisation that sees it.

InfluxDB 2 makes its tokens up itself (docs/operations.md); InfluxDB 1 has users with a right on one database each, for which
`statements` are what its administrator runs once. Either way the bridge's token only writes and Grafana's only reads, and both
know no other site's bucket.
"""

from __future__ import annotations

import secrets
from typing import Final

FIRST_BUCKET: Final = "tiltline"
DATA_SOURCE_UID: Final = "tiltline-influxql"
"""By which the dashboards name their data source; each organisation has its own under this name."""


def user_token(user: str) -> str:
    """A token for InfluxDB 1: its user and a random password, as the database takes them (``Token user:password``)."""
    return f"{user}:{secrets.token_hex(32)}"


def statements(bucket: str, write_token: str, read_token: str) -> str:
    """InfluxQL that makes the database and its two users; harmless when run again."""
    lines = [f'CREATE DATABASE "{bucket}"']
    for token, right in ((write_token, "WRITE"), (read_token, "READ")):
        user, _, password = token.partition(":")
        lines += [f"CREATE USER \"{user}\" WITH PASSWORD '{password}'", f'GRANT {right} ON "{bucket}" TO "{user}"']
    return "\n".join(lines) + "\n"


def data_source(organisation: int, bucket: str, read_token: str) -> str:
    """Grafana's provisioning file: InfluxQL over InfluxDB's v1 endpoint, where a bucket is the database of its name.

    The token travels as a header, which Grafana reads from the secret file ``read_token`` when it starts.
    """
    return f"""# Made by `tiltline init-stack`.
apiVersion: 1
datasources:
  - name: Tiltline
    uid: {DATA_SOURCE_UID}
    orgId: {organisation}
    type: influxdb
    access: proxy
    url: http://influxdb:8086
    isDefault: true
    editable: false
    jsonData:
      version: InfluxQL
      dbName: {bucket}
      httpMode: GET
      timeInterval: 1s
      httpHeaderName1: Authorization
    secureJsonData:
      httpHeaderValue1: "Token $__file{{/run/secrets/{read_token}}}"
"""


def dashboard_provider(organisation: int, site: str) -> str:
    """Grafana's provisioning file: the same dashboards for each organisation."""
    return f"""# Made by `tiltline init-stack`.
apiVersion: 1
providers:
  - name: Tiltline {site}
    orgId: {organisation}
    folder: Tiltline
    type: file
    disableDeletion: true
    allowUiUpdates: false
    updateIntervalSeconds: 60
    options:
      path: /var/lib/tiltline/dashboards
"""
