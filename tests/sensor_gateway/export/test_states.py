"""States that an export keeps, and begins from: the same records as from the journal's beginning, or none at all."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from processing.rules.study import Study
from processing.types import NS_PER_S
from sensor_gateway import cli
from sensor_gateway.config import Retention, load_settings
from sensor_gateway.export.selection import COMPUTED_TABLES
from sensor_gateway.export.states import STATES, States
from sensor_gateway.privacy.files import erase_states
from sensor_gateway.privacy.retention import retain
from sensor_gateway.replay.journal_samples import span_of
from sensor_gateway.replay.rederive import SpoolReader, recipe_of
from tests.scale.identity import synthetic
from tests.sensor_gateway.export.lived import Lived

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("export_states")]

DAY_NS = 86_400 * NS_PER_S
WORDS = ("--kind", ",".join(COMPUTED_TABLES))


@dataclass(frozen=True)
class ThreeDays(Lived):
    """A gateway that lived three days of thirteen minutes each: more than is read from a journal at once."""

    first_ns: int

    @property
    def states(self) -> list[Path]:
        return sorted((self.folder / "data" / STATES).rglob("*.state"))

    def day(self, n: int) -> str:
        return str(np.datetime64(self.first_ns + n * DAY_NS, "ns"))[:10]

    def export(self, out: Path, *words: str) -> Path:
        asked = ["export", "--config", str(self.config), "--out", str(out), *WORDS, *words]
        assert cli.main(asked) == 0
        return out

    def before(self, t_utc_ns: int, study: Study | None = None) -> int | None:
        """The journal entry from which an export of what comes then would begin."""
        sensor = load_settings(self.config).sensors[0]
        with closing(SpoolReader(self.spool)) as spool:
            states = States(self.folder / "data", sensor, recipe_of(sensor, study or Study()), spool)
            found = states.before(t_utc_ns, span_of(spool, sensor.id, sensor.wearer))
        return None if found is None else found.next_seq


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> ThreeDays:
    folder = tmp_path_factory.mktemp("lived")
    made = synthetic(folder, 1, 0.25, seed=4)
    part = pq.read_table(made.path).to_pandas().query("t_s < 780")
    pd.concat([part.assign(t_s=part["t_s"] + 86_400 * d) for d in range(3)]).to_parquet(
        folder / "days.parquet", index=False
    )
    first_ns = made.start_utc_ns // DAY_NS * DAY_NS
    case = replace(made, path=folder / "days.parquet", start_utc_ns=first_ns + 3600 * NS_PER_S)
    lived = ThreeDays(folder, first_ns)
    lived.live([case])
    return lived


@pytest.fixture(scope="module")
def whole(lived: ThreeDays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the journal holds, computed from its beginning; it leaves states."""
    return lived.export(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def mine(lived: ThreeDays, whole: Path, tmp_path: Path) -> ThreeDays:
    """The gateway's folder with its states, to be changed."""
    shutil.copytree(lived.folder, tmp_path / "mine")
    return replace(lived, folder=tmp_path / "mine")


def change(spool: Path, sql: str) -> None:
    with closing(sqlite3.connect(spool)) as db, db:
        assert db.execute(sql).rowcount > 0


def forget_a_part(mine: ThreeDays) -> None:
    """Entries in the midst of the first day are gone: whoever passes by them computes something else."""
    change(mine.spool, "DELETE FROM journal WHERE first_seq > 100 AND last_seq < 300")


def test_what_follows_a_day_begins_where_it_ended(mine: ThreeDays, whole: Path, tmp_path: Path) -> None:
    assert [path.stem for path in mine.states] == [mine.day(0), mine.day(1)]
    assert {path.stat().st_mode & 0o777 for path in mine.states} == {0o600}
    forget_a_part(mine)
    for since in (1, 2):
        out = mine.export(tmp_path / str(since), "--from", mine.day(since))
        for table in COMPUTED_TABLES:
            want = pq.read_table(whole / f"{table}.parquet").to_pandas()
            want = want[want.iloc[:, 2] >= mine.first_ns + since * DAY_NS].reset_index(drop=True)
            pd.testing.assert_frame_equal(pq.read_table(out / f"{table}.parquet").to_pandas(), want, check_exact=True)
            assert len(want) or table == "transfers", table


def test_a_new_day_in_an_archive_goes_on_from_the_state(mine: ThreeDays, whole: Path, tmp_path: Path) -> None:
    for path in mine.states:
        path.unlink()
    shutil.copy(mine.spool, tmp_path / "full.db")
    change(mine.spool, f"DELETE FROM journal WHERE last_rx_utc_ns >= {mine.first_ns + 2 * DAY_NS}")
    mine.export(tmp_path / "days", "--by-day")
    assert len(mine.states) == 1
    shutil.copy(tmp_path / "full.db", mine.spool)
    # The second and the third day are written now.
    forget_a_part(mine)
    mine.export(tmp_path / "days", "--by-day")
    for table in COMPUTED_TABLES:
        want = pq.read_table(whole / f"{table}.parquet").to_pandas().drop(columns="wearer")
        files = sorted((tmp_path / "days" / table).rglob("*.parquet"))
        assert len(files) == 3
        found = pd.concat([pq.read_table(path, partitioning=None).to_pandas() for path in files], ignore_index=True)
        pd.testing.assert_frame_equal(found, want, check_exact=True, check_dtype=len(want) > 0)


def torn(mine: ThreeDays) -> None:
    newest = mine.states[-1]
    newest.write_bytes(newest.read_bytes()[:-100])


def lost(mine: ThreeDays) -> None:
    mine.states[-1].unlink()


def of_other_entries(mine: ThreeDays) -> None:
    """The journal under the newest state holds something else now, as after a power cut."""
    seq = mine.before(mine.first_ns + 2 * DAY_NS)
    assert seq is not None
    other = f"SELECT block FROM journal WHERE first_seq <= {seq - 400} ORDER BY first_seq DESC LIMIT 1"
    change(mine.spool, f"UPDATE journal SET block = ({other}) WHERE {seq - 1} BETWEEN first_seq AND last_seq")


@pytest.mark.parametrize("spoil", [torn, lost, of_other_entries])
def test_a_state_that_cannot_be_used_is_passed_over_for_an_earlier_one(
    mine: ThreeDays, spoil: Callable[[ThreeDays], None]
) -> None:
    first, second = (mine.before(mine.first_ns + d * DAY_NS) for d in (1, 2))
    assert first is not None
    assert second is not None
    assert first < second
    assert mine.before(mine.first_ns) is None
    spoil(mine)
    assert mine.before(mine.first_ns + 2 * DAY_NS) == first
    assert mine.before(mine.first_ns + 2 * DAY_NS, Study(version="another")) is None


def test_a_folder_that_takes_no_states_costs_the_export_nothing(mine: ThreeDays, whole: Path, tmp_path: Path) -> None:
    shutil.rmtree(mine.folder / "data" / STATES)
    (mine.folder / "data" / STATES).write_text("not a folder")
    out = mine.export(tmp_path / "out")
    for table in COMPUTED_TABLES:
        assert (out / f"{table}.parquet").read_bytes() == (whole / f"{table}.parquet").read_bytes()


def test_states_go_with_their_wearer_and_with_the_journal(mine: ThreeDays) -> None:
    data, state = mine.folder / "data", mine.states[0]
    hers = state.parent.parent
    shutil.copytree(hers, hers.with_name("w-777"))
    assert erase_states(data, "w-777") == 2
    assert not hers.with_name("w-777").exists()
    assert erase_states(data, "w-777") == 0
    now_ns = mine.first_ns + 2 * DAY_NS
    would = retain(data, Retention(raw_days=1), now_ns, dry_run=True).gone
    assert would[STATES] == 1
    assert len(mine.states) == 2
    assert retain(data, Retention(raw_days=1), now_ns).gone[STATES] == 1
    assert [path.stem for path in mine.states] == [mine.day(1)]
