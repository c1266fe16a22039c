"""Consent in a running gateway: sensors of a wearer who has withdrawn are held back, and take up again with a new consent."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from sensor_gateway.config import Sensor
from sensor_gateway.privacy.consent import ConsentError, objection

log = logging.getLogger(__name__)

EVERY_S: Final = 2.0


class Holdable(Protocol):
    """Something whose payloads can be refused (`runner.Runner`)."""

    withheld: str | None


class ConsentWatch:
    """Reads the record of consent every two seconds; an unreadable one closes every sensor, since nothing is known then."""

    def __init__(
        self, folder: Path, sensors: Sequence[Sensor], runners: Mapping[str, Holdable], required: bool
    ) -> None:
        self._folder, self._sensors, self._runners, self._required = folder, sensors, runners, required
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="consent", daemon=True)

    def start(self) -> None:
        """Looks once before it returns: not one payload of a withdrawn wearer is taken."""
        self.look()
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def look(self) -> None:
        """Hold back or let go each sensor."""
        for sensor in self._sensors:
            try:
                why = objection(self._folder, sensor.wearer, "recording", self._required)
            except (ConsentError, OSError) as e:
                why = f"{sensor.wearer}: the record of consent cannot be read ({e})"
            runner = self._runners[sensor.id]
            if why != runner.withheld:
                log.warning("%s: %s", sensor.id, f"not recorded; {why}" if why else "recording goes on")
            runner.withheld = why

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.look()
