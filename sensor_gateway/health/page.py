"""The wearer's page before it is up, its port, its tokens and its certificate: part of `tiltline doctor`."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from cryptography import x509

from processing.types import NS_PER_S
from sensor_gateway.clock import SystemClock
from sensor_gateway.config import ConfigError, Web
from sensor_gateway.health.finding import RENEW_DAYS, Finding, problem
from sensor_gateway.secrets import read_secret


def page_finding(web: Web, base: Path, running: bool) -> Finding:
    """``running``: a gateway runs on this data folder, so that the port may well be taken."""
    refused = _refused(web)
    if refused and not running:
        return Finding("page", "problem", f"{web.host}:{web.port} is taken ({refused})", "choose another web.port")
    seen = f"{web.host}:{web.port} is {'in use, and a gateway runs on this data folder' if refused else 'free'}"
    try:
        for i, token in enumerate(web.tokens):
            read_secret(token.file, "", base, f"web.tokens[{i}].file")
        if web.certificate:
            return _encrypted(web, base, seen)
    except ConfigError as e:
        return problem("page", str(e), "see 'On a phone' in docs/operations.md")
    if web.on_loopback:
        return Finding("page", "ok", seen)
    if not web.tokens:
        remedy = "'On a phone' in docs/operations.md makes tokens and a certificate; or use 127.0.0.1"
        return Finding("page", "problem", f"{seen}, but others reach it and it has no [[web.tokens]]", remedy)
    remedy = (
        "set web.certificate and web.key, or put a proxy with TLS on this machine: 'On a phone' in docs/operations.md"
    )
    return Finding("page", "note", f"{seen}, with a sign-in, but anybody on that network can read along", remedy)


def _refused(web: Web) -> str | None:
    with socket.socket(socket.AF_INET6 if ":" in web.host else socket.AF_INET) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((web.host, web.port))
        except OSError as e:
            return e.strerror or str(e)
    return None


def _encrypted(web: Web, base: Path, seen: str) -> Finding:
    certificate, key = base / web.certificate, base / web.key
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        ends_s = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError) as e:
        said = f"{certificate} and {key} are no certificate with its key ({e})"
        return Finding("page", "problem", said, "give both as PEM, readable to the gateway's user")
    left = int(ends_s - SystemClock().utc_ns() / NS_PER_S) // 86_400
    if left < RENEW_DAYS:
        remedy = "make a new one in time: docs/operations.md"
        return Finding("page", "note", f"{seen}, over TLS; its certificate ends in {left} days", remedy)
    return Finding("page", "ok", f"{seen}, over TLS; its certificate holds for {left} days")
