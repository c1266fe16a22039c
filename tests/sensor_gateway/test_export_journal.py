"""Tables that only the journal has: equal to what `tiltline process` makes of the same samples, joinable, by day, and honest about gaps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from processing.types import NS_PER_S
from sensor_gateway import cli
from sensor_gateway.export.manifest import check_manifest
from sensor_gateway.process import process_file
from tests.scale.identity import Case, synthetic

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("export_journal")]

DAY_NS = 86_400 * NS_PER_S
DERIVED = ("samples", "steps", "transfers", "bouts")


def run(*words: str | Path) -> int:
    return cli.main([str(w) for w in words])


@dataclass(frozen=True)
class Lived:
    """A gateway that has lived the same quarter of an hour over midnight UTC with two sensors."""

    folder: Path
    cases: tuple[Case, Case]
    midnight_ns: int

    @property
    def config(self) -> Path:
        return self.folder / "gateway.toml"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("lived")
    made = synthetic(folder, 1, 0.25, seed=4)
    midnight_ns = (made.start_utc_ns // DAY_NS + 1) * DAY_NS
    start_ns = midnight_ns - 500 * NS_PER_S
    cases = tuple(replace(made, number=n, start_utc_ns=start_ns) for n in (1, 2))
    sensors = "".join(case.toml().replace("options = {", "options = { speed = 0.0,") for case in cases)
    (folder / "gateway.toml").write_text(f'[site]\ndata_dir = "data"\n{sensors}[web]\nenabled = false\n')
    assert run("run", "--config", folder / "gateway.toml", "--until-done") == 0
    return Lived(folder, (cases[0], cases[1]), midnight_ns)


def test_tables_are_those_of_process_bit_for_bit(lived: Lived, tmp_path: Path) -> None:
    case = lived.cases[1]
    process_file(case.path, tmp_path / "processed", case.options("online"))
    out = tmp_path / "out"
    assert run("export", "--config", lived.config, "--kind", "all", "--wearer", case.wearer, "--out", out) == 0
    for name in (*DERIVED, "metrics", "epochs"):
        want, found = pq.read_table(tmp_path / "processed" / f"{name}.parquet"), pq.read_table(out / f"{name}.parquet")
        assert found.column_names == ["wearer", "sensor", *want.column_names]
        mine = found.select(want.column_names)
        assert mine.equals(want), name
        assert mine.schema.remove_metadata().equals(want.schema.remove_metadata())
        assert [f.metadata for f in mine.schema] == [f.metadata for f in want.schema]
        assert want.num_rows > 0, name
        assert set(found["wearer"].to_pylist()) == {case.wearer}
    assert check_manifest(out) == []
