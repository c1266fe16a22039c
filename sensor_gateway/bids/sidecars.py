"""What stands beside the numbers of a BIDS data set: channels, how they were made, what events mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from processing.dictionary import EVENT_TYPES, METRIC
from processing.types import POSTURES
from sensor_gateway.bids.layout import BIDS_VERSION, TASK

POINT: Final = "pelvis"
_METRIC: Final = {f.name: f for f in METRIC}


@dataclass(frozen=True, slots=True)
class Channel:
    """A column of a motion file: BIDS type, axis, unit, and what it is."""

    name: str
    component: str
    type: str
    units: str
    about: str


_LATENCY: Final = Channel("latency", "n/a", "LATENCY", "s", "Seconds since the first sample of this file.")
RAW: Final = (
    _LATENCY,
    *(Channel(f"acc_{a}", a, "ACCEL", "m/s^2", f"Specific force along the sensor's {a} axis.") for a in "xyz"),
    *(Channel(f"gyr_{a}", a, "GYRO", "rad/s", f"Angular rate about the sensor's {a} axis.") for a in "xyz"),
)
"""Physical channels, as the sensor sent them."""
TILT: Final = (
    _LATENCY,
    *(Channel(name, "n/a", "ORNT", "deg", _METRIC[name].meaning) for name in ("anterior_tilt_deg", "obliquity_deg")),
    Channel("tilt_uncertainty_deg", "n/a", "MISC", "deg", _METRIC["tilt_uncertainty_deg"].meaning),
    Channel(
        "posture_code",
        "n/a",
        "MISC",
        "n/a",
        f"Posture as a number: {', '.join(f'{i} {p}' for i, p in enumerate(POSTURES))}.",
    ),
    *(Channel(n, "n/a", "MISC", "n/a", _METRIC[n].meaning) for n in ("posture_confidence", "coverage", "quality")),
)
"""Derived channels, one row a second."""


def channels_tsv(channels: tuple[Channel, ...], rate_hz: float) -> str:
    """The channel table."""
    rows = ["name\tcomponent\ttype\ttracked_point\tunits\tplacement\tsampling_frequency\tdescription"]
    rows += [
        f"{c.name}\t{c.component}\t{c.type}\t{POINT}\t{c.units}\tclip on the back of the pelvis\t{rate_hz:g}\t{c.about}"
        for c in channels
    ]
    return "\n".join(rows) + "\n"


def motion_json(
    channels: tuple[Channel, ...], rate_hz: float, effective_hz: float, driver: str, about: str
) -> dict[str, Any]:
    """How one motion file was made."""
    kinds = [c.type for c in channels]
    return {
        "TaskName": TASK,
        "TaskDescription": "Free daily living with a clip-on sensor at the pelvis; nothing was asked of the wearer.",
        "TrackingSystemName": about,
        "SamplingFrequency": rate_hz,
        "SamplingFrequencyEffective": round(effective_hz, 4),
        "MotionChannelCount": len(channels),
        "TrackedPointsCount": 1,
        **{f"{kind}ChannelCount": kinds.count(kind) for kind in ("ACCEL", "GYRO", "ORNT", "LATENCY", "MISC") if kind in kinds},
        "MissingValues": "n/a",
        "DeviceSerialNumber": "n/a",
        "ManufacturersModelName": driver,
        "SoftwareVersions": f"tiltline {version('tiltline')}",
    }  # fmt: skip


def events_json() -> dict[str, Any]:
    """What the columns of the event table mean."""
    return {
        "onset": {"Description": "Seconds since the first sample of the session's files.", "Units": "s"},
        "duration": {"Description": "Duration, 0 for a moment.", "Units": "s"},
        "trial_type": {"Description": "Type of the event.", "Levels": dict(EVENT_TYPES)},
        "rule": {"Description": "The rule behind it."},
        "event_id": {"Description": "Id of the event in the gateway's store."},
        "data": {"Description": "Everything needed to recompute the event, as JSON; free text is left out."},
    }


def dataset_json(name: str) -> dict[str, Any]:
    """The data set as a whole."""
    return {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "License": "n/a",
        "Authors": ["n/a"],
        "GeneratedBy": [
            {"Name": "tiltline", "Version": version("tiltline"), "Description": "tiltline export --format bids"}
        ],
    }


_README: Final = """\
Pelvic tilt through daily living, recorded with a clip-on inertial sensor and exported by Tiltline.

Tracking systems, two per sensor: its name with "raw" has the physical channels (acceleration in m/s^2, angular rate in rad/s,
sensor axes), its name with "tilt" the derived channels, one row a second: anterior pelvic tilt (+ = top of the pelvis forward, relative to the
wearer's neutral pose) and obliquity (+ = right side up), in degrees, each with its uncertainty. Samples stand at their own
time (channel latency); where the signal was interrupted there are no rows, and nothing was filled in. Missing values are n/a.

Sessions are UTC days. Subjects are pseudonyms. Measured with a clip-on sensor: not a diagnosis.
"""


def readme(deidentified: Mapping[str, str]) -> str:
    """The data set's README; ``deidentified``: what was done to days and ids, where anything was."""
    if not deidentified:
        return _README
    done = "".join(f"- {what.replace('_', ' ')}: {how}\n" for what, how in deidentified.items())
    return f"{_README}\nDe-identified by the export:\n{done}"
