"""The fixtures of real servers, here too."""

from __future__ import annotations

from tests.integration.conftest import stack

__all__ = ["stack"]
