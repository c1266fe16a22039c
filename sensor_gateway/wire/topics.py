"""MQTT topics, written and read in this one place.

`tiltline/v1/{site}/{gateway}/{wearer}/{kind}` carries records, six levels; `tiltline/v1/{site}/{gateway}/status`, `.../durable`,
`.../command` and `.../receipt` are the gateway's own, five. The gateway's name is the user it logs in with, so an access list can bind every
topic to the one who may write it (`%u`), and the bridge can tell who a message speaks for. No wearer is called like one of
the gateway's own topics (the configuration refuses it), so the two stay apart even for a reader that counts no levels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from processing.dictionary import KINDS

ROOT: Final = "tiltline/v1"
OWN: Final = ("status", "durable", "command", "receipt")
"""A gateway's own topics; no wearer, sensor, site or gateway has one of these ids."""
ALL_RECORDS: Final = f"{ROOT}/+/+/+/+"
ALL_STATUS: Final = f"{ROOT}/+/+/status"
DEALT_STATUS: Final = f"$share/tiltline-bridges/{ALL_STATUS}"
"""By an MQTT 5 shared subscription: of several bridges one alone gets each."""
ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class TopicError(ValueError):
    """A topic that is none of ours; says why."""


@dataclass(frozen=True, slots=True)
class RecordTopic:
    """Where a record travels."""

    site: str
    gateway: str
    wearer: str
    kind: str


def record(site: str, gateway: str, wearer: str, kind: str) -> str:
    """Where records of one kind of a wearer go."""
    return f"{ROOT}/{site}/{gateway}/{wearer}/{kind}"


def records_of(site: str, gateway: str) -> str:
    """Filter for all records of a gateway."""
    return f"{ROOT}/{site}/{gateway}/+/+"


def status(site: str, gateway: str) -> str:
    """Retained; the broker publishes the gateway's last will here."""
    return f"{ROOT}/{site}/{gateway}/status"


def durable(site: str, gateway: str) -> str:
    """Retained; the bridge says here up to which sequence number everything is on disk."""
    return f"{ROOT}/{site}/{gateway}/durable"


def command(site: str, gateway: str) -> str:
    """What a site's therapist asks of the gateway (calibrate, snooze, programme)."""
    return f"{ROOT}/{site}/{gateway}/command"


def receipt(site: str, gateway: str) -> str:
    """The gateway says here what became of a command."""
    return f"{ROOT}/{site}/{gateway}/receipt"


def is_id(text: str) -> bool:
    """Whether this may name a site, a gateway, a wearer or a sensor."""
    return ID.fullmatch(text) is not None and text not in OWN


def parse_record(topic: str) -> RecordTopic:
    """The parts of a record's topic; raises `TopicError`."""
    parts = topic.split("/")
    if len(parts) != 6 or "/".join(parts[:2]) != ROOT:
        raise TopicError(f"topic {topic[:100]!r} is not {ROOT}/site/gateway/wearer/kind")
    site, gateway, wearer, kind = parts[2:]
    if not (is_id(site) and is_id(gateway) and is_id(wearer)):
        raise TopicError(f"topic {topic[:100]!r} names no valid site, gateway and wearer")
    if kind not in KINDS:
        raise TopicError(f"topic {topic[:100]!r} ends in none of {', '.join(KINDS)}")
    return RecordTopic(site, gateway, wearer, kind)


def parse_status(topic: str) -> tuple[str, str]:
    """Site and gateway of a status topic; raises `TopicError`."""
    parts = topic.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT or parts[4] != "status" or not all(map(is_id, parts[2:4])):
        raise TopicError(f"topic {topic[:100]!r} is not {ROOT}/site/gateway/status")
    return parts[2], parts[3]
