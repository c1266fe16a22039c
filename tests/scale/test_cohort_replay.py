"""A journal replayed on a real Dask cluster gives what one machine gives, also under another alignment and when a worker is killed on
the way.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from processing.alignment.static import align, parse_mount
from processing.dictionary import KINDS
from processing.rules.study import Study
from processing.types import NS_PER_S
from sensor_gateway.config import load_settings
from sensor_gateway.replay.cluster import connect, replay_cohort
from sensor_gateway.replay.rederive import ReplayError, SpoolReader, compare, rederive
from sensor_gateway.sinks.store import Store
from tests.integration.test_delivery import START_NS, sensors, write_recording
from tests.sensor_gateway.test_gateway import configure, tiltline


@pytest.mark.slow
def test_a_killed_worker_costs_its_partition_only(tmp_path: Path) -> None:
    write_recording(tmp_path / "walk.parquet", 180)
    config = configure(tmp_path, sensors(tmp_path / "walk.parquet", 0))
    ran = tiltline("run", "--config", config, "--until-done")
    assert ran.returncode == 0, ran.stderr
    path, sensor = tmp_path / "data" / "spool.db", load_settings(config).sensors[0]
    alone, together = Store.open(tmp_path / "alone.db"), Store.open(tmp_path / "together.db")
    spool = SpoolReader(path)
    t = START_NS + 101 * NS_PER_S
    other = {t: align(parse_mount("up=+x,anterior=+y"), None, given=True, mount_id="mount-1", t_utc_ns=t)}
    expected = rederive(spool, sensor, Study(), alone, corrections=other)
    spool.close()
    assert expected.corrected == 1
    told: list[float] = []
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        pids = list(client.run(os.getpid).values())

        def progress(share: float) -> None:
            told.append(share)
            if len(told) == 1:
                os.kill(pids[0], signal.SIGKILL)

        most, corrections = expected.entries // 4, {sensor.id: other}
        found = replay_cohort(client, path, [sensor], Study(), together, progress, most, corrections)
    assert len(told) >= 4
    assert told[-1] == 1.0
    assert found[sensor.id] == expected
    for kind in KINDS:
        assert compare(alone, together, "w-001", kind).is_none
    alone.close()
    together.close()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9"])
def test_no_scheduler_is_one_sentence(address: str) -> None:
    with pytest.raises(ReplayError, match=f"no Dask scheduler answers at {address} "):
        connect(address, 0.5)


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1", "foo://x:1"])
def test_what_is_no_address_starts_no_client(address: str) -> None:
    """One that cannot connect keeps its thread, and waits twenty seconds for it at the end of the program."""
    before = threading.active_count()
    with pytest.raises(ReplayError, match=f"no Dask scheduler answers at {address} "):
        connect(address, 0.5)
    assert threading.active_count() == before
