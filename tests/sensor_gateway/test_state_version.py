"""A pipeline's state of other code is refused and the journal computed again; a state that changed its shape needs a new number."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from processing import snapshot
from processing.types import Metric
from sensor_gateway.derive import STATE, Deriver, SnapshotError
from sensor_gateway.spool.block import Logged
from tests.sensor_gateway.test_runner import Gateway, recipe, script

SHAPES = {4: "acb3e98ffee0ff8a"}
"""What a state holds, by its number: names and types, without values and lengths."""


def shape(state: Any) -> Any:
    """Names and types of a state; of a list which kinds of values it has, however many."""
    if isinstance(state, dict):
        return {str(name): shape(value) for name, value in sorted(state.items())}
    if isinstance(state, list):
        return sorted({json.dumps(shape(value)) for value in state})
    if isinstance(state, np.ndarray):
        return [state.dtype.str, state.ndim]
    return type(state).__name__


def state_of_a_day() -> dict[str, Any]:
    deriver = Deriver(recipe())
    deriver.feed(Logged(seq, source, received) for seq, (source, received) in enumerate(script(), start=1))
    _, pipeline, driver, _ = msgspec.msgpack.decode(deriver.snapshot())
    return {"pipeline": snapshot.load(pipeline), "driver": driver}


def test_a_state_of_another_shape_has_another_number() -> None:
    found = hashlib.sha256(json.dumps(shape(state_of_a_day()), sort_keys=True).encode()).hexdigest()[:16]
    assert SHAPES.get(STATE) == found, (
        "what a state holds has changed: raise STATE in sensor_gateway/derive.py and note the new shape here, "
        "or gateways go on from states that this code misreads"
    )


def test_a_state_of_another_version_is_refused() -> None:
    deriver = Deriver(recipe())
    version, *rest = msgspec.msgpack.decode(deriver.snapshot())
    assert version == STATE
    for other in ([STATE - 1, *rest], [STATE + 1, *rest], rest):
        with pytest.raises(SnapshotError, match="cannot be restored"):
            Deriver(recipe()).restore(msgspec.msgpack.encode(other))


def test_after_an_update_the_journal_is_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    items = script()
    calm = Gateway(tmp_path / "calm")
    calm.line.ingest(items)
    gateway = Gateway(tmp_path / "site")
    gateway.line.ingest(items[:500])
    gateway.line.close()
    with gateway.spool.transaction(durable=True) as db:
        _, *rest = msgspec.msgpack.decode(db.execute("SELECT body FROM snapshot").fetchone()[0])
        db.execute("UPDATE snapshot SET body = ?", (msgspec.msgpack.encode([STATE - 1, *rest]),))
    gateway.crash()
    gateway = Gateway(tmp_path / "site")
    gateway.line.ingest(items[500:])
    assert "the journal is replayed instead" in caplog.text
    assert [r for r in gateway.records() if isinstance(r, Metric)] == [
        r for r in calm.records() if isinstance(r, Metric)
    ]
    calm.crash()
    gateway.crash()
