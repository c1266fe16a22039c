"""MQTT topics, written and read in this one place.

`tiltline/v1/{site}/{wearer}/{kind}` carries records; `tiltline/v1/{site}/gateway/{gateway}/status` and `.../durable` belong
to a gateway. A wearer is never called `gateway` (the configuration refuses it), so the two cannot be confused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from processing.dictionary import KINDS

ROOT: Final = "tiltline/v1"
ALL_RECORDS: Final = f"{ROOT}/+/+/+"
ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class TopicError(ValueError):
    """A topic that is none of ours; says why."""


@dataclass(frozen=True, slots=True)
class RecordTopic:
    """Where a record travels."""

    site: str
    wearer: str
    kind: str


def record(site: str, wearer: str, kind: str) -> str:
    return f"{ROOT}/{site}/{wearer}/{kind}"


def status(site: str, gateway: str) -> str:
    """Retained; the broker publishes the gateway's last will here."""
    return f"{ROOT}/{site}/gateway/{gateway}/status"


def durable(site: str, gateway: str) -> str:
    """Retained; the bridge says here up to which sequence number everything is on disk."""
    return f"{ROOT}/{site}/gateway/{gateway}/durable"


def parse_record(topic: str) -> RecordTopic:
    """The parts of a record's topic; raises `TopicError`."""
    parts = topic.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT:
        raise TopicError(f"topic {topic[:100]!r} is not {ROOT}/site/wearer/kind")
    site, wearer, kind = parts[2:]
    if not ID.fullmatch(site) or not ID.fullmatch(wearer) or wearer == "gateway":
        raise TopicError(f"topic {topic[:100]!r} names no valid site and wearer")
    if kind not in KINDS:
        raise TopicError(f"topic {topic[:100]!r} ends in none of {', '.join(KINDS)}")
    return RecordTopic(site, wearer, kind)
