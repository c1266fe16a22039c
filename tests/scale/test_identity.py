"""Every way from samples to records gives the same records: the short form of `python -m tests.scale.identity`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scale.identity import Found, check, clusters, synthetic


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_random_days_are_the_same_by_all_ways(tmp_path: Path) -> None:
    # The first one's clip slips, and both end of hindsight must find it at the same second.
    cases = [synthetic(tmp_path, 0, 0.75, seed=1), synthetic(tmp_path, 1, 0.25, seed=1)]
    found = Found()
    with clusters(1, 2) as clients:
        check(cases, tmp_path / "gateway", clients, 1, found, kills=1)
    assert found.differences == []
    assert found.recordings == 2
    assert min(found.comparisons.values()) == 2
    assert len(found.comparisons) == 8
    assert found.told["metric"] > 3000
    assert found.told["online mount"] > 0
    assert found.told["retro mount"] > 0
