"""What every driver of a bought sensor must withstand, and where the shared golden packets lie."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from processing.types import ImuBatch
from sensor_gateway.drivers.base import Battery, Decoded, Driver, Late, Rejected

VECTORS = Path(__file__).parents[4] / "shared" / "ble" / "vectors.json"
RX_MONO_NS, RX_UTC_NS = 5_000_000_000, 1_760_000_001_000_000_000


def shared_vectors(device: str) -> list[dict[str, Any]]:
    """Golden packets whose device begins so; skips where this checkout has none beside it."""
    if not VECTORS.exists():
        pytest.skip("the shared golden packets are not beside this checkout")
    found = [v for v in json.loads(VECTORS.read_text())["vectors"] if v["device"].startswith(device)]
    assert found
    return found


def feed(driver: Driver, uuid: str, payload: bytes) -> list[Decoded]:
    return driver.feed(uuid, payload, RX_MONO_NS, RX_UTC_NS)


def restored(driver: Driver, other: Driver) -> Driver:
    """``other`` continuing from a snapshot of ``driver`` that went through the store's encoding."""
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(driver.snapshot())))
    return other


def check(driver: Driver, items: Sequence[Decoded], most_numbers: int) -> None:
    """Whatever came in: known kinds, whole arrays, finite numbers, reasons; and the driver holds little."""
    for told in items:
        assert isinstance(told, ImuBatch | Late | Battery | Rejected)
        item = told.batch if isinstance(told, Late) else told
        if isinstance(item, ImuBatch):
            n = len(item.t_dev_ticks)
            assert 1 <= n <= driver.capabilities.batch_max
            assert item.acc_mps2.shape == item.gyr_rps.shape == (n, 3)
            assert np.isfinite(item.acc_mps2).all()
            assert np.isfinite(item.gyr_rps).all()
        elif isinstance(item, Battery):
            assert 0 <= item.percent <= 100
        else:
            assert len(item.reason) > 10
            assert isinstance(item.payload, bytes)
    assert len(driver.snapshot()) <= most_numbers


def storm(driver: Driver, uuid: str, good: Sequence[bytes], rounds: int, most_numbers: int, seed: int = 1) -> int:
    """Random and mutated payloads, ``rounds`` of them; the number that was refused."""
    rng = np.random.default_rng(seed)
    refused = 0
    for i in range(rounds):
        if i % 3 == 0:
            payload = rng.bytes(int(rng.integers(0, 260)))
        else:
            mutable = bytearray(good[int(rng.integers(len(good)))])
            for _ in range(int(rng.integers(0, 4))):
                mutable[int(rng.integers(len(mutable)))] = int(rng.integers(256))
            cut = int(rng.integers(len(mutable) + 1)) if i % 5 == 0 else len(mutable)
            payload = bytes(mutable[:cut])
        items = feed(driver, uuid, payload)
        check(driver, items, most_numbers)
        refused += sum(isinstance(item, Rejected) for item in items)
        if i % 97 == 0:
            driver.reset()
    return refused
