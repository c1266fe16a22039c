"""Passwords and tokens: from a file of their own or from the environment, never from the configuration, never shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from sensor_gateway.config import ConfigError

MQTT_VARIABLE: Final = "TILTLINE_MQTT_PASSWORD"
INFLUX_VARIABLE: Final = "TILTLINE_INFLUX_TOKEN"


def read_secret(file: str, variable: str, base: Path, key: str) -> str:
    """The secret in ``file`` (relative to ``base``), otherwise in the environment, otherwise empty.

    Raises `ConfigError` naming ``key`` where the file cannot be read or is empty.
    """
    if not file:
        return os.environ.get(variable, "")
    try:
        secret = (base / file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(
            f"key '{key}': {base / file} cannot be read ({e}); write the secret there, mode 600"
        ) from None
    if not secret:
        raise ConfigError(f"key '{key}': {base / file} is empty; write the secret there, mode 600")
    return secret
