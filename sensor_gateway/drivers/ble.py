"""The radio as drivers' neighbours see it: one import for scanning, connecting and their errors (`sensor_gateway.radio`)."""

from __future__ import annotations

from sensor_gateway.radio.adapter import Radio
from sensor_gateway.radio.link import Backends, Found, Link, LinkError
from sensor_gateway.radio.states import RadioLimits

__all__ = ["Backends", "Found", "Link", "LinkError", "Radio", "RadioLimits"]
