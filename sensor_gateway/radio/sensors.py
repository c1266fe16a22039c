"""The radio sensors that a `driver = …` can name: each line makes the transports of one kind.

Entry points of the group `tiltline.drivers` lead here; the drivers themselves know nothing of radio or settings.
"""

from __future__ import annotations

from typing import Final

from sensor_gateway.drivers import capture2go, metamotion, movella_dot, movesense, open_profile, polar, witmotion
from sensor_gateway.radio.ble_sensor import BleSensor

open_profile_sensor: Final = BleSensor(open_profile.OpenProfileDriver, (open_profile.SERVICE_UUID,))
capture2go_sensor: Final = BleSensor(capture2go.Capture2GoDriver, (capture2go.SERVICE_UUID,))
dot_sensor: Final = BleSensor(movella_dot.MovellaDotDriver, (movella_dot.CONFIG_SERVICE_UUID,))
witmotion_sensor: Final = BleSensor(witmotion.WitMotionDriver, (witmotion.SERVICE_UUID,))
movesense_sensor: Final = BleSensor(movesense.MovesenseDriver, (movesense.SERVICE_UUID,))
metamotion_sensor: Final = BleSensor(metamotion.MetaMotionDriver, (metamotion.SERVICE_UUID,))
polar_sensor: Final = BleSensor(polar.PolarDriver, (polar.SERVICE_UUID,))
