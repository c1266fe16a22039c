"""`python -m sensor_gateway.cli` is the same as `tiltline`."""

import sys

from sensor_gateway.cli import main

sys.exit(main())
