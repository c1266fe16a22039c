"""What can be wrong with this machine's Bluetooth, and how to mend it: part of `tiltline doctor`.

Everything read lies under ``root``, and BlueZ is asked through a `Host`, so that every finding can be shown in a test.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from sensor_gateway.config import Settings
from sensor_gateway.health.finding import Finding
from sensor_gateway.radio.adapter import MAX_LINKS
from sensor_gateway.radio.host import AdapterInfo, Host, HostError, system_host, within

_DAEMONS: Final = ("usr/libexec/bluetooth/bluetoothd", "usr/lib/bluetooth/bluetoothd", "usr/sbin/bluetoothd")
_OLDEST: Final = (5, 55)
_FAULTS: Final = (
    ((5, 66), (5, 66), "can crash when notifications are taken by file descriptor (AcquireNotify); Tiltline does not"),
    ((5, 82), (5, 82), "forgets a device after a failed connection; Tiltline searches anew each time"),
    ((5, 85), (5, 85), "has been seen to crash like 5.66 with AcquireNotify; Tiltline does not use it"),
)
"""First and last version, and what is known of it (issues of bluez and bleak, and our own runs on Debian 12 and 13)."""
_LE_MS: Final = 1.25
_GOOD_INTERVAL_MS: Final = 30.0
_TIMEOUT_MS: Final = (3000, 10_000)
_SETTING: Final = re.compile(r"^\s*(\w+)\s*=\s*(\S+)\s*$")
_ASK_S: Final = 8.0
_MAIN_CONF: Final = "etc/bluetooth/main.conf"


def bluetooth_findings(settings: Settings, root: Path = Path("/"), host: Host | None = None) -> Iterator[Finding]:
    """All checks for a gateway that reads sensors by radio. ``host`` defaults to this machine's."""
    names = sorted(p.name for p in (root / "sys/class/bluetooth").glob("hci*") if ":" not in p.name)
    if not names:
        yield Finding("bluetooth", "problem", "no adapter", "plug a Bluetooth adapter in; a container needs the host's")
    yield from _blocked(root)
    host = host or system_host()
    adapters: list[AdapterInfo] | None = None
    if host is not None:
        try:
            adapters = list(asyncio.run(within(_ASK_S, host.adapters())))
        except HostError as e:
            yield Finding("bluetooth", "problem", str(e), _service_remedy(root))
    if adapters is not None:
        yield from _adapters(adapters, settings)
    yield _bluez(root)
    yield _bleak()
    yield from _permission()
    for name in names:
        yield _intervals(root, name)
    if (root / "sys/module/btusb/parameters/enable_autosuspend").is_file():
        yield _autosuspend(root)


def _service_remedy(root: Path) -> str:
    if not (root / "run/dbus/system_bus_socket").exists():
        return "apt-get install bluez dbus; in a container, give it /run/dbus from the host"
    return "systemctl enable --now bluetooth; journalctl -u bluetooth says why it stopped"


def _blocked(root: Path) -> Iterator[Finding]:
    for switch in sorted((root / "sys/class/rfkill").glob("rfkill*")):
        if _text(switch / "type") != "bluetooth":
            continue
        if _text(switch / "hard") == "1":
            yield Finding(
                "bluetooth", "problem", "switched off by a hardware switch or key", "switch it on at the machine"
            )
        elif _text(switch / "soft") == "1":
            yield Finding("bluetooth", "problem", "blocked by software (rfkill)", "rfkill unblock bluetooth")


def _adapters(adapters: list[AdapterInfo], settings: Settings) -> Iterator[Finding]:
    wanted = {a.address.upper(): a.max_links for a in settings.radio.adapters}
    found = {a.address: a for a in adapters}
    for address in wanted.keys() - found.keys():
        here = ", ".join(sorted(found)) or "none"
        yield Finding("adapter", "problem", f"{address} of [radio] is not here", f"plug it in; adapters here: {here}")
    for a in adapters:
        what = f"{a.name} {a.address}"
        if not a.powered:
            yield Finding("adapter", "problem", f"{what} is off", f"bluetoothctl select {a.address}, then: power on")
        elif a.discovering:
            remedy = "if that is no gateway of yours: close desktop Bluetooth settings; two programs disturb each other"
            yield Finding("adapter", "note", f"{what}: another program is scanning", remedy)
        else:
            held = f", {len(a.connected)} connected" if a.connected else ""
            yield Finding("adapter", "ok", f"{what} is on{held}")
    sensors = [s for s in settings.sensors if s.driver not in ("synthetic", "replay")]
    places = sum(wanted.values()) if wanted else MAX_LINKS * bool(adapters)
    if len(sensors) > places:
        remedy = "add an adapter to [radio], or raise its max_links where its maker says that it carries more"
        yield Finding("links", "problem", f"{len(sensors)} sensors, {places} places", remedy)


def _bluez(root: Path) -> Finding:
    version = next((v for d in _DAEMONS if (v := _version(root / d)) is not None), None)
    if version is None:
        return Finding(
            "bluez", "note", "version unknown: bluetoothd is not in its usual place", "on Debian: apt-get install bluez"
        )
    text = ".".join(map(str, version))
    if version < _OLDEST:
        return Finding("bluez", "problem", f"BlueZ {text} is too old", "use Debian 12 or newer (5.66, 5.82)")
    faults = [fault for first, last, fault in _FAULTS if first <= version <= last]
    return Finding("bluez", "note" if faults else "ok", f"BlueZ {text}" + "".join(f": {f}" for f in faults))


def _version(daemon: Path) -> tuple[int, ...] | None:
    if not os.access(daemon, os.X_OK):
        return None
    try:
        told = subprocess.run([daemon, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(\d+)\.(\d+)", told)
    return (int(found.group(1)), int(found.group(2))) if found else None


def _bleak() -> Finding:
    version = metadata.version("bleak")
    if tuple(int(n) for n in re.findall(r"\d+", version)[:2]) < (3, 1):
        seen = f"bleak {version}: a broken bus goes unnoticed"
        return Finding("bleak", "problem", seen, "pip install 'bleak>=3.1.0'")
    return Finding("bleak", "ok", f"bleak {version}")


def _permission() -> Iterator[Finding]:
    if os.geteuid() == 0:
        return
    import grp

    try:
        group = grp.getgrnam("bluetooth")
    except KeyError:
        return  # a system without the group lets every local user in
    user = getpass.getuser()
    if group.gr_gid not in os.getgroups() and user not in group.gr_mem:
        remedy = f"usermod -aG bluetooth {user}, then log in again"
        yield Finding("permission", "note", "this user is not in the group 'bluetooth'", remedy)


def _intervals(root: Path, name: str) -> Finding:
    """Connection interval and supervision timeout, as the kernel holds them or as BlueZ is told to set them."""
    kernel = root / "sys/kernel/debug/bluetooth" / name
    interval, timeout = _number(kernel / "conn_max_interval"), _number(kernel / "supervision_timeout")
    source = "kernel"
    if interval is None:
        conf = _le_settings(root)
        interval, timeout = conf.get("MaxConnectionInterval"), conf.get("ConnectionSupervisionTimeout")
        source = _MAIN_CONF
    remedy = (
        f"in /{_MAIN_CONF} under [LE]: MinConnectionInterval=12, MaxConnectionInterval=24, ConnectionLatency=0, "
        "ConnectionSupervisionTimeout=500; then systemctl restart bluetooth"
    )
    if interval is None:
        seen = f"{name}: connection interval not set and not readable here (it is 30 to 50 ms where nobody set it)"
        return Finding("interval", "note", seen, f"run doctor as root to read it, or set it: {remedy}")
    ms, wait_ms = interval * _LE_MS, None if timeout is None else timeout * 10
    seen = f"{name}: interval up to {ms:g} ms" + ("" if wait_ms is None else f", link given up after {wait_ms} ms")
    long = ms > _GOOD_INTERVAL_MS
    odd = wait_ms is not None and not _TIMEOUT_MS[0] <= wait_ms <= _TIMEOUT_MS[1]
    if not (long or odd):
        return Finding("interval", "ok", f"{seen} ({source})")
    why = (
        "long intervals delay and cost sensors without a buffer samples" if long else "bodies in the way need 4 to 6 s"
    )
    return Finding("interval", "note", f"{seen} ({source}); {why}", remedy)


def _le_settings(root: Path) -> dict[str, int]:
    found, section = dict[str, int](), ""
    for line in (_text(root / _MAIN_CONF) or "").splitlines():
        if line.strip().startswith("["):
            section = line.strip()
        elif section == "[LE]" and (m := _SETTING.match(line)) and m.group(2).isdigit():
            found[m.group(1)] = int(m.group(2))
    return found


def _autosuspend(root: Path) -> Finding:
    if _text(root / "sys/module/btusb/parameters/enable_autosuspend") in ("Y", "1"):
        remedy = "echo 'options btusb enable_autosuspend=0' > /etc/modprobe.d/btusb.conf, then restart the machine"
        return Finding("usb", "note", "USB Bluetooth adapters may be put to sleep", remedy)
    return Finding("usb", "ok", "USB Bluetooth adapters are kept awake")


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text and text.isdigit() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
