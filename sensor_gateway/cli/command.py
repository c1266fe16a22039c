"""`tiltline command`: a signed command to a gateway over the site's broker, and the gateway's receipt."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from pathlib import Path

import msgspec

from sensor_gateway.config import ConfigError, load_settings, read_toml
from sensor_gateway.mqtt_link import Link, LinkError, LinkSettings
from sensor_gateway.secrets import read_secret
from sensor_gateway.wire import commands as wire
from sensor_gateway.wire import topics

WAIT_S = 15.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="a file with [site] and [mqtt] of the site's broker")
    parser.add_argument(
        "--issuer", required=True, help="your pseudonym, as the gateway's [[commands.issuers]] names it"
    )
    parser.add_argument("--key-file", type=Path, required=True, help="file with your key")
    parser.add_argument("--gateway", required=True, help="the gateway's name")
    parser.add_argument("--wearer", required=True, help="the wearer's pseudonym")
    parser.add_argument("--json", action="store_true", help="print the receipt for a machine")
    parser.add_argument("what", choices=("calibrate", "snooze", "stop", "resume", "programme"), help="what is asked")
    parser.add_argument(
        "--minutes", metavar="N", type=int, help="snooze: how long; stop: for how long (default: until resume)"
    )
    parser.add_argument(
        "--duration-s", metavar="S", type=float, default=5.0, help="calibrate: length of the neutral pose (default: 5)"
    )
    parser.add_argument(
        "--file", type=Path, help="programme: a TOML file with [[programme]] blocks, as in a study file"
    )
    parser.add_argument(
        "--lasts-s",
        metavar="S",
        type=int,
        default=120,
        help="seconds after which the gateway must refuse it (default: 120)",
    )


def run(args: argparse.Namespace) -> int:
    """0 where the gateway carried it out; 1 with its reason, or where no receipt came."""
    try:
        receipt = _send(args)
    except (ConfigError, LinkError, OSError) as e:
        print(f"tiltline command: {e}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(msgspec.to_builtins(receipt)))
    elif receipt.done:
        print(f"{args.gateway}: carried out.")
    else:
        print(f"tiltline command: {args.gateway} refused: {receipt.reason}", file=sys.stderr)
    return int(not receipt.done)


def _asked(args: argparse.Namespace) -> wire.Asked:
    raw: dict[str, object] = {"type": args.what}
    if args.what == "calibrate":
        raw["duration_s"] = args.duration_s
    if args.what in ("snooze", "stop") and args.minutes is not None:
        raw["minutes"] = args.minutes
    if args.what == "programme":
        if args.file is None:
            raise ConfigError("a programme needs --file with [[programme]] blocks")
        raw["entries"] = read_toml(args.file).get("programme", [])
    try:
        asked: wire.Asked = msgspec.convert(raw, wire.Asked)
    except msgspec.ValidationError as e:
        raise ConfigError(f"{args.what}: {e}; see --help") from None
    return asked


def _receipt(payload: bytes) -> wire.Receipt | None:
    try:
        return msgspec.json.decode(payload, type=wire.Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # of another version, or nobody's


def _send(args: argparse.Namespace) -> wire.Receipt:
    settings, base = load_settings(args.config), args.config.parent
    key = read_secret(str(args.key_file.absolute()), "", base, "--key-file")
    topic = topics.command(settings.site.id, args.gateway)
    now_ns = time.time_ns()
    body = wire.Body(secrets.token_hex(16), args.wearer, now_ns, now_ns + args.lasts_s * 10**9, _asked(args))
    reply = topics.receipt(settings.site.id, args.gateway)
    link = Link.connect(LinkSettings(settings.mqtt, base, f"tiltline-command-{body.id[:12]}", (reply,)))
    try:
        link.publish(topic, wire.sign(topic, args.issuer, key, body))
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            heard = link.poll(0.2)
            if heard.refused:
                raise LinkError(f"the broker refuses {topic} ({heard.refused[0].reason}); your user may not command")
            for message in heard.messages:
                link.acknowledge(message)
                receipt = _receipt(message.payload)
                if receipt is not None and receipt.id == body.id:
                    return receipt
    finally:
        link.close()
    raise LinkError(
        f"{args.gateway} sent no receipt within {WAIT_S:.0f} s: it is away, or does not know '{args.issuer}'; its log says"
    )
