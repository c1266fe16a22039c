"""Three bridges, one killed and one added under load: the short form of `python -m tests.scale.shared`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scale.shared import trial

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(600)]


def test_nothing_is_lost_doubled_or_out_of_order(tmp_path: Path) -> None:
    report = trial(tmp_path, 4, 30.0)
    assert report["wrong"] == []
    assert report["looks_at_order"] > 20
