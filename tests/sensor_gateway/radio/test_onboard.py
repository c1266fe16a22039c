"""`tiltline recordings` with a virtual DOT at a wire: whose recordings, once each, every refusal, and an hour with hindsight."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from struct import pack

import pytest

from processing.rules.study import Study
from sensor_gateway.config import load_settings
from sensor_gateway.drivers.base import Received
from sensor_gateway.drivers.dot_payload import MEDIUM_UUID
from sensor_gateway.gateway import Gateway
from sensor_gateway.privacy.consent import Consent, enter
from sensor_gateway.radio.recorder import Delivery
from sensor_gateway.spool.database import take_guard
from tests.ble.support.dot_memory import IDLE, RECORDING, File
from tests.ble.support.dot_site import HZ, PATIENT, Site

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(tmp_path, capsys)


async def live(site: Site, seconds: float) -> None:
    """The gateway runs and the sensor streams, its samples arriving as they are measured; then both stop."""
    gateway = Gateway(load_settings(site.config), Study(), site.config.parent, site.world)
    runner = gateway.runners["clip-1"]
    mono, utc = site.world.mono_ns(), site.world.utc_ns()

    async def stream() -> AsyncIterator[list[Received]]:
        for k in range(round(seconds * HZ)):
            at = round(k / HZ * 1e9)
            t_us = (mono + at) // 1000 % 2**32
            yield [Received(MEDIUM_UUID, pack("<I6f12x", t_us, 0, 0.1, 9.8, 0, 0, 0), mono + at, utc + at)]

    await runner.run(Delivery(runner.line.recipe.driver, stream()))
    gateway.spool.close()
    site.world.put_on(seconds)


async def test_an_hour_between_two_live_stretches_has_no_hole(site: Site) -> None:
    await live(site, 120)
    file = await site.begun(60)
    fetched = await site.done("--fetch")
    assert abs(fetched["recordings"][0]["length_s"] - 3600) < 60
    await live(site, 120)
    counts, seconds = site.retro()
    assert (counts.late_used, counts.late_misfit) == (file.samples, 0)
    seconds = [s for s in seconds if file.start_utc < s < file.start_utc + 3590]
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
    assert len(seconds) >= 3580
    # What was told live stays: the recording comes too late for it.
    assert site.live_seconds() < 250


async def test_two_fetches_of_several_recordings_add_each_sample_once(site: Site) -> None:
    first, second = await site.begun(2), await site.begun(3)
    one = await site.done("--fetch", "2")
    assert [r["fetched"] for r in one["recordings"]] == [False, True]
    assert "not yet fetched whole: 1;" in await site.refused("--erase")
    assert (await site.done("--fetch"))["fetched"] == [1]
    assert (await site.done("--fetch", "all", "--erase"))["fetched"] == []
    assert site.memory.files == []
    numbers, t = site.late()
    assert numbers == [*range(second.samples), *range(first.samples)]
    assert t[0] == second.start_utc
    assert t[second.samples] == first.start_utc


@pytest.mark.parametrize("knows", [True, False])
async def test_a_wire_that_breaks_again_and_again_costs_nothing(site: Site, knows: bool) -> None:
    site.memory.knows_retransmit = knows
    file = await site.begun(2)
    for packets in (1, 700, 1500):
        site.wire.breaks_after = packets
        assert "fetch again, it goes on" in await site.refused("--fetch")
    site.wire.breaks_after = None
    assert (await site.done("--fetch"))["recordings"][0]["fetched"]
    assert site.late()[0] == list(range(file.samples))


async def test_what_is_lost_or_damaged_on_the_way_is_sent_again(site: Site) -> None:
    file = await site.begun(2)
    site.memory.lost, site.memory.damaged = {0, 5, 6, 1000}, {40, 41, file.samples - 2}
    file.invalid = {77}
    report = await site.done("--fetch")
    (r,) = report["recordings"]
    assert (r["fetched"], r["damaged"], r["packets_held"]) == (True, 1, file.samples)
    assert site.late()[0] == [n for n in range(file.samples) if n != 77]


async def test_a_sensor_that_falls_silent_is_asked_again_and_then_given_up(site: Site) -> None:
    file = await site.begun(1)
    site.memory.ends_at, site.patience = 300, replace(site.patience, silence_s=0.3)
    assert "stopped at packet 300; fetch again" in await site.refused("--fetch")
    assert len(site.late()[0]) == 300
    site.memory.ends_at, site.patience = 10**9, PATIENT
    assert site.memory.state != IDLE  # the export still runs: it is stopped first
    await site.done("--fetch", "--erase")
    assert site.late()[0] == list(range(file.samples))


async def test_recordings_of_nobody_knows_whom_are_assigned_or_left(site: Site) -> None:
    own = await site.begun(1)
    site.bind("w-002")
    refusal = await site.refused("--fetch", "--erase")
    assert "recording 1 was not begun by this gateway for w-002" in refusal
    assert site.memory.files == [own]
    hers = await site.begun(1)
    assert "recording 1 was not begun" in await site.refused("--fetch")
    numbers, t = site.late()
    assert numbers == list(range(hers.samples))
    assert t[0] == hers.start_utc
    await site.done("--fetch", "--assign", "--erase")
    assert len(site.late()[0]) == hers.samples + own.samples
    assert site.retro()[0].late_used == hers.samples + own.samples


async def test_a_recording_of_no_known_time_is_not_dated(site: Site) -> None:
    start = round(site.world.utc_ns() / 1e9)
    site.memory.files = [File(0, 0xFFFF, 60.0, 5, 100), File(start + 86_400, 0xFFFF, 60.0, 5, 100)]
    said = await site.refused("--fetch", "--assign")
    assert "recording 1 begins 1970-01-01T00:00:00Z: the sensor was told no true time" in said
    assert "recording 2 begins" in said
    assert not site.late()[0]


async def test_a_full_memory_or_a_low_battery_starts_nothing(site: Site) -> None:
    file = await site.begun(300)  # until it is full
    assert site.memory.used > 0.9 * site.memory.size
    assert not (await site.done("--stop"))["stopped"]
    assert "memory is full; fetch" in await site.refused("--start")
    site.memory.size *= 2  # what the sensor thinks of itself and what it tells need not agree
    site.memory.used_up = True
    assert "does not record; is its memory full?" in await site.refused("--start")
    await site.done("--erase", "--force")
    site.memory.used_up = False
    ahead, site.world.ahead_ns = site.world.ahead_ns, -site.world.utc_ns() + site.world.ahead_ns + 10**18
    assert "this machine's clock says 2001-09-09T" in await site.refused("--start")
    site.world.ahead_ns = ahead
    site.logger.battery = 7
    assert "the battery is at 7 %; charge it first" in await site.refused("--start")
    await site.done("--start", "--force")
    assert site.memory.state == RECORDING
    assert file not in site.memory.files


async def test_a_memory_of_another_format_is_said_and_made_anew(site: Site) -> None:
    site.memory.files, site.memory.valid = [File(1_790_000_000, 0xFFFF, 60.0, 5, 100)], False
    report = await site.done()
    assert report["recordings"] == []
    assert not report["memory"]["known"]
    assert "its memory has no directory that can be read" in (await site.said())[1]
    await site.refused("--erase")
    await site.done("--erase", "--force")
    assert site.memory.files == []


async def test_a_running_gateway_a_stranger_and_an_absent_sensor_are_a_sentence_each(site: Site) -> None:
    site.spool.parent.mkdir(parents=True, exist_ok=True)
    with take_guard(site.spool):
        status, out, err = await site.said()
        assert (status, out) == (1, "")
        assert "A running gateway holds the sensor and the journal: stop it" in err
    assert site.wire.subscribed == []
    assert "is not bound in" in (await site.said(sensor="clip-9"))[2]
    assert "add --start" in (await site.said("--minutes", "5"))[2]
    assert "has no recording 4; it has: none" in await site.refused("--fetch", "4")
    site.wire.away = True
    assert "was not found; is it charged, awake" in await site.refused()
    site.bind("w-001", driver="witmotion")
    assert "clip-1 is a witmotion" in await site.refused()


async def test_without_consent_nothing_is_recorded_or_fetched(site: Site) -> None:
    await site.begun(1)
    enter(site.spool.parent, Consent("w-001", "recording", "withdrawn", site.world.utc_ns()))
    assert "w-001: consent to recording was withdrawn" in await site.said_wrong("--fetch")
    assert "withdrawn" in await site.said_wrong("--start")
    assert not site.late()[0]
    await site.done()  # what is on it may be seen, and erased
    await site.done("--erase", "--force")


async def test_what_a_person_reads(site: Site) -> None:
    await site.begun(2)
    await site.done("--fetch")
    await site.begun(10, "--minutes", "30")
    status, out, err = await site.said()
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("clip-1 of w-001: battery 83 %, memory 0.9 of 16 MB used")
    assert lines[1].split() == ["number", "start", "length", "size", "fetched"]
    assert lines[2].split()[2:] == [lines[2].split()[2], "s", "0.2", "MB", "whole"]
    assert lines[3].endswith("not yet")
    _, out, _ = await site.said("--start", "--minutes", "30")
    assert out.splitlines()[-1].endswith("30 of 30 min left.")
    _, out, _ = await site.said()
    assert "Recording since" in out
    _, out, _ = await site.said("--stop", "--fetch", "--erase")
    assert out.splitlines()[-2:] == ["Stopped.", "Its memory was erased."]
