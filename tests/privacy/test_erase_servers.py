"""Erasing one wearer from a whole site: real broker with access list, real InfluxDB, the bridge's queue and the broker's memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.publish import single

from sensor_gateway.bridge.bridge import session_of
from sensor_gateway.bridge.queue import Bad, BridgeQueue
from sensor_gateway.config import Influx, load_settings
from sensor_gateway.mqtt_link import Link
from sensor_gateway.privacy.remote import Database, RemoteError
from sensor_gateway.privacy.sqlite_files import owner_of_line
from sensor_gateway.sinks.influx import InfluxDownError, InfluxWriter
from tests.integration.servers import PASSWORDS, TOKEN, Shim, Stack, free_port, wait_until
from tests.integration.test_delivery import START, write_recording
from tests.privacy.world import make_world, others

pytestmark = [pytest.mark.servers, pytest.mark.slow]

HER, OTHER = "w-001", "w-011"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path).running() as servers:
        yield servers


def publish(stack: Stack, user: str, topic: str, payload: str, *, retain: bool = False) -> None:
    single(
        topic,
        payload,
        qos=1,
        retain=retain,
        hostname="127.0.0.1",
        port=stack.broker.port,
        auth={"username": user, "password": PASSWORDS[user]},
        tls={"ca_certs": f"{stack.broker.folder}/ca.crt"},
        protocol=MQTTProtocolVersion.MQTTv5,
    )


def message(stack: Stack, wearer: str) -> str:
    body: dict[str, Any] = {
        "v": 1,
        "kind": "device",
        "site": "home",
        "wearer": wearer,
        "sensor": "clip-9",
        "gateway": "gw-1",
    }
    body |= {
        "spool": "00000000000000ff",
        "seq": 1 if wearer == HER else 2,
        "after": 0 if wearer == HER else 1,
        "floor": 1,
    }
    body |= {"t_utc_ns": 1_772_352_000 * 10**9, "data": {"t_utc_ns": 1_772_352_000 * 10**9, "battery_percent": 5.0}}
    return json.dumps(body)


def rows(stack: Stack, wearer: str) -> list[dict[str, Any]]:
    out = []
    for measurement in ("tilt", "epoch", "event", "device"):
        out += stack.influx.query(f'SELECT * FROM "{measurement}" WHERE "wearer" = \'{wearer}\'')
    # InfluxQL gives a column to every row as soon as one has it.
    return [{k: v for k, v in row.items() if v is not None} for row in out]


def test_a_site_forgets_one_wearer_and_nobody_else(stack: Stack, tmp_path: Path) -> None:
    write_recording(tmp_path / "walk.parquet", 150)
    blocks = "\n".join(
        f'[[sensors]]\nid = "{sensor}"\nwearer = "{wearer}"\ndriver = "replay"\n'
        f'options = {{ path = "{tmp_path}/walk.parquet", start = "{START}", speed = 0.0, neutral = "10:14" }}'
        for sensor, wearer in (("clip-1", HER), ("clip-2", OTHER))
    )
    bridge, gateway = stack.bridge(), stack.gateway(blocks, "--until-done")
    bridge.start()
    gateway.start()
    assert gateway.wait(120) == 0, gateway.said()
    config, bridge_config = gateway.folder / "config.toml", bridge.folder / "config.toml"
    words = [sys.executable, "-m", "sensor_gateway.cli", "erase", HER]
    words += ["--config", str(config), "--config", str(bridge_config)]

    def tiltline(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*words, *more], capture_output=True, text=True, timeout=120, check=False)

    assert "still binds clip-1" in tiltline("--yes").stderr
    config.write_text(
        config.read_text().replace(blocks, blocks.split("\n[[sensors]]\n")[1].join(("[[sensors]]\n", "")))
    )
    refused = tiltline("--yes")  # a bridge that runs would write her last records after the erasure
    assert "another 'tiltline bridge' uses this folder" in refused.stderr
    bridge.stop()
    # While the bridge is away the broker keeps for it: a good message of each, a bad one of each; and somebody retained one.
    topic = f"tiltline/v1/home/gw-1/{HER}/device"
    for wearer in (HER, OTHER):
        publish(stack, "gw-1", f"tiltline/v1/home/gw-1/{wearer}/device", message(stack, wearer))
        publish(stack, "gw-1", f"tiltline/v1/home/gw-1/{wearer}/event", f"junk of {wearer}")
    publish(stack, "gw-1", topic, "kept by mistake", retain=True)
    before, hers = rows(stack, OTHER), rows(stack, HER)
    assert len(hers) > 150
    kept = {name: others(gateway.folder / "data" / name) for name in ("spool.db", "store.db")}

    stack.influx.kill9()  # the database is away: said, and the same command goes on when it is back
    stopped = tiltline("--yes", "--json")
    assert stopped.returncode == 1
    assert "run the same command again" in stopped.stderr
    stack.influx.start()
    done = tiltline("--yes", "--json")
    assert done.returncode == 0, done.stdout + done.stderr

    receipt = json.loads(done.stdout)
    counts = receipt["counts"]
    assert counts["influx_points"] >= len(hers)
    assert counts["retained_messages"] == 1
    assert counts["dead_letters"] >= 1
    assert receipt["searched"]["brokers"] == 2
    assert rows(stack, HER) == []
    assert [r for r in rows(stack, OTHER) if r["sensor"] != "clip-9"] == before
    assert {name: others(gateway.folder / "data" / name) for name in kept} == kept
    queue = BridgeQueue(bridge.folder / "data" / "bridge.db")
    counters = queue.counters()
    assert counters["received"] == counters["written"] + counters["rejected"] + counters["dropped"] + counters["queued"]
    assert [letter.body for letter in queue.letters()] == [f"junk of {OTHER}".encode()]
    assert {owner_of_line(row.line) for row in queue.take(-1)} <= {OTHER}
    queue.close()
    # Nobody comes back: the broker, restarted on its own file, keeps nothing of hers, and the bridge writes nothing of hers.
    stack.broker.stop()
    assert HER.encode() not in (stack.broker.folder / "data" / "mosquitto.db").read_bytes()
    stack.broker.start()
    bridge.start()
    wait_until(
        "the other's last record in the database", lambda: any(r["sensor"] == "clip-9" for r in rows(stack, OTHER))
    )
    bridge.stop()
    assert rows(stack, HER) == []
    assert tiltline("--search").returncode == 0


def test_several_bridges_and_a_gateway_that_shares_a_folder_give_one_receipt(stack: Stack, tmp_path: Path) -> None:
    bridges = [stack.bridge(f"bridge-{n}", "--shared") for n in (1, 2, 3)]
    for bridge in bridges:
        bridge.start()
    wait_until(
        "each bridge's word of itself",
        lambda: len({row["bridge"] for row in stack.influx.query('SELECT * FROM "bridge"')}) == 3,
    )
    for bridge in bridges:
        bridge.stop()
        queue = BridgeQueue(bridge.folder / "data" / "bridge.db")
        queue.receive([Bad("topic", f"junk of {HER}".encode(), "not JSON")])
        queue.close()
    gateway = make_world(bridges[0].folder)
    configs = [bridge.folder / "config.toml" for bridge in bridges]

    def tiltline(*given: Path) -> dict[str, Any]:
        words = ["-m", "sensor_gateway.cli", "erase", HER, "--yes", "--json", "--config", *map(str, given)]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        receipt: dict[str, Any] = json.loads(done.stdout)
        return receipt

    receipt = tiltline(gateway, *configs[:2])
    assert receipt["sites"] == ["home/gw-1", "home/bridge-1", "home/bridge-2"]
    assert [each.get("dead_letters") for each in receipt["counts_of_each"]] == [None, 1, 1]
    assert receipt["counts_of_each"][0]["journal_entries"] == 952
    assert (receipt["counts"]["dead_letters"], receipt["searched"]["databases"]) == (2, 2)
    assert receipt["bridges_not_given"] == ["home/bridge-3"]
    assert tiltline(*configs)["counts"]["dead_letters"] == 1
    for config in configs:  # one of several has no session: an erasure must not leave one that gathers messages
        link = Link.connect(session_of(load_settings(config), config.parent))
        link.close()
        assert not link.resumed
        link = Link.connect(session_of(load_settings(config), config.parent))
        link.close()
        assert link.resumed


def test_the_database_says_why_it_refuses(stack: Stack, tmp_path: Path) -> None:
    assert Database(Influx(url=stack.shim.url), TOKEN).points(HER) == 0
    with pytest.raises(RemoteError, match="--influx-token-file"):
        Database(Influx(url=stack.shim.url), "wrong").points(HER)


def test_a_proxys_page_is_told_in_one_line(tmp_path: Path) -> None:
    shim = Shim(tmp_path, free_port())  # no database behind it
    shim.start()
    try:
        settings = Influx(url=shim.url)
        with pytest.raises(RemoteError, match=r"answers 502 \(502 Bad Gateway [^<\n]*\); it does not run"):
            Database(settings, TOKEN).points(HER)
        writer = InfluxWriter(settings, TOKEN)
        with pytest.raises(InfluxDownError, match=r"answers 502 \(502 Bad Gateway [^<\n]*\)$"):
            writer.check()
        writer.close()
    finally:
        shim.stop()
