"""TOML to frozen settings. An unknown key, wrong type or bad value is an error naming the key and the remedy.

Longer than other modules: all settings stand in this one file, since it is what a person with a question about a key opens.
`strict_toml.py` reads them.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from sensor_gateway.strict_toml import ConfigError, read_toml, strict_convert
from sensor_gateway.wire import topics

__all__ = ["ConfigError", "read_toml", "strict_convert"]  # whoever reads settings meets these with them
_BLUETOOTH = re.compile(r"([0-9A-F]{2}:){5}[0-9A-F]{2}")
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Site:
    """Where this gateway stands. Ids are pseudonyms: they go on the wire and into stores."""

    id: str = "home"
    gateway: str = "gw-1"
    timezone: str = "UTC"
    data_dir: str = "tiltline-data"


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor and the wearer it is bound to. The radio address stays in this file, never in a store."""

    id: str
    wearer: str
    driver: str = "open"
    address: str = ""
    rate_hz: float = 100.0
    mount: str = "up=+x,anterior=-z"
    estimate: Literal["online", "settled"] = "online"  # settled: records wait up to 10 s and are nearer the truth
    options: dict[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebToken:
    """A token that opens the page; it stands in a file of its own. A wearer's shows that wearer only."""

    role: Literal["wearer", "therapist"]
    file: str
    wearer: str = ""


@dataclass(frozen=True, slots=True)
class Web:
    """The wearer's page. Loopback only unless the host is changed, which then needs tokens."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()  # host names beside the machine's own under which the page may be opened
    certificate: str = ""  # PEM files: with both the page speaks HTTPS
    key: str = ""
    tokens: tuple[WebToken, ...] = ()

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches the page."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who may send this gateway commands over MQTT: a pseudonym, the key in its file, and for which wearers (none: all)."""

    id: str
    key_file: str
    wearers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands over MQTT (calibrate, snooze, stop, resume, programme). Off unless somebody is named who may send them."""

    issuers: tuple[Issuer, ...] = ()
    per_minute: int = 10  # for each issuer
    most_age_s: int = 300  # from its making to its end; a command that lasts longer is refused


@dataclass(frozen=True, slots=True)
class Mqtt:
    """The broker. TLS is on unless switched off by name; the password comes from a file or the environment."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 8883
    tls: bool = True
    ca_file: str = ""
    username: str = ""
    password_file: str = ""
    inflight: int = 100
    keepalive_s: int = 30


@dataclass(frozen=True, slots=True)
class Influx:
    """The database the bridge writes to; the token comes from a file or `TILTLINE_INFLUX_TOKEN`."""

    url: str = "http://127.0.0.1:8086"
    org: str = "tiltline"
    bucket: str = "tiltline"
    token_file: str = ""
    batch: int = 2000
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class FileSink:
    """Optional NDJSON copy of every record, one file a day."""

    enabled: bool = False
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters and vital signs for Prometheus. Loopback only unless the host is changed."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 9464


@dataclass(frozen=True, slots=True)
class Privacy:
    """What leaves the gateway. Notes are free text and may name people, so they stay unless switched on."""

    send_notes: bool = False
    require_consent: bool = False  # record only wearers whose consent was entered (`tiltline consent`)


@dataclass(frozen=True, slots=True)
class Retention:
    """Days each kind is kept on this machine, by the record's own time; 0: for ever."""

    raw_days: int = 0
    metrics_days: int = 0
    epochs_days: int = 0
    events_days: int = 0
    devices_days: int = 0
    files_days: int = 0  # NDJSON copies of the file sink


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is kept on disk."""

    journal_max_mb: int = 20_000
    outbox_max_rows: int = 20_000_000
    outbox_max_days: int = 90  # records older than this beside their sensor's newest are given up; events never


@dataclass(frozen=True, slots=True)
class Adapter:
    """A Bluetooth adapter, by its own address (`tiltline doctor` shows it): its name changes when it is plugged in again."""

    address: str
    max_links: int = 4  # sensors at once; some dongles end at five and then fail without a reason


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Times of one sensor's life [s] unless said otherwise; the ``[radio.session]`` table of the settings."""

    search_s: float = 15.0
    first_data_s: float = 5.0
    stall_s: float = 2.0  # or twenty sample periods, where those are longer
    check_s: float = 0.25
    stop_s: float = 3.0  # for the stop sequence when the gateway goes down
    pause_s: float = 1.0  # after the first failure; doubles up to pause_max_s
    pause_max_s: float = 60.0
    missing_pause_s: float = 10.0  # at most, after a search in vain: one that came back must not wait a minute
    ended_pause_s: float = 3.0  # at most, after a link that broke: at the edge of range it will break again and again
    adapter_pause_s: float = 1.0  # between looks for an adapter that is gone
    good_s: float = 30.0  # data for this long start the pauses small again
    alarm_s: float = 600.0  # without data: the alarm
    adapter_alarm_s: float = 60.0  # without an adapter: the alarm
    alarm_failures: int = 8  # connections in a row that failed though the sensor was there: the alarm, earlier
    backlog: int = 36_000  # payloads that wait while the runner is behind: an hour; then the oldest go


@dataclass(frozen=True, slots=True)
class RadioLimits:
    """How long each step of the radio may take [s]; the ``[radio.timing]`` table of the settings."""

    scan_slice_s: float = 5.0  # scanning costs the connected sensors airtime, so others get their turn in between
    scan_pause_s: float = 1.0
    scan_gather_s: float = 0.3  # on after the first one found: others that are looked for save a scan of their own
    connect_s: float = 20.0
    connect_outer_s: float = 60.0  # bleak's own timeout has been seen not to fire
    subscribe_s: float = 10.0
    read_s: float = 5.0
    pair_s: float = 30.0
    close_s: float = 12.0
    host_s: float = 10.0  # a question to the operating system, or a repair by it
    power_off_s: float = 1.0  # how long an adapter stays off where it is switched off and on


@dataclass(frozen=True, slots=True)
class RadioSettings:
    """Bluetooth. Without adapters the system's first one is used."""

    adapters: tuple[Adapter, ...] = ()
    session: SessionLimits = field(default_factory=SessionLimits)
    timing: RadioLimits = field(default_factory=RadioLimits)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a process is told at start-up."""

    site: Site = field(default_factory=Site)
    sensors: tuple[Sensor, ...] = ()
    web: Web = field(default_factory=Web)
    commands: Commands = field(default_factory=Commands)
    mqtt: Mqtt = field(default_factory=Mqtt)
    influx: Influx = field(default_factory=Influx)
    file: FileSink = field(default_factory=FileSink)
    limits: Limits = field(default_factory=Limits)
    retention: Retention = field(default_factory=Retention)
    privacy: Privacy = field(default_factory=Privacy)
    metrics: Metrics = field(default_factory=Metrics)
    radio: RadioSettings = field(default_factory=RadioSettings)
    study: str = ""  # path of the study file, relative to this one


def load_settings(path: Path) -> Settings:
    """Read and check a gateway file."""
    settings = strict_convert(read_toml(path, "start from config/gateway.example.toml"), Settings, str(path))
    ids = {"site.id": settings.site.id, "site.gateway": settings.site.gateway}
    for i, sensor in enumerate(settings.sensors):
        ids |= {f"sensors[{i}].id": sensor.id, f"sensors[{i}].wearer": sensor.wearer}
    for key, value in ids.items():
        if not topics.is_id(value):
            raise ConfigError(
                f"{path}: key '{key}' is {value!r}; use 1-32 small letters, digits and '-' (a pseudonym, not a name), "
                f"and none of {', '.join(topics.OWN)}"
            )
    seen: set[str] = set()
    for sensor in settings.sensors:
        if sensor.id in seen:
            raise ConfigError(f"{path}: sensor id {sensor.id!r} stands twice; each sensor needs its own")
        seen.add(sensor.id)
    check_timezone(settings.site.timezone, f"{path}: key 'site.timezone'")
    _check_radio(settings.radio, path)
    _check_doors(settings, path)
    check_retention(settings.retention, path)
    return settings


def _check_doors(settings: Settings, path: Path) -> None:
    """Who may open the page and who may send commands."""
    for i, token in enumerate(settings.web.tokens):
        if topics.is_id(token.wearer) is not (token.role == "wearer"):
            raise ConfigError(
                f"{path}: key 'web.tokens[{i}].wearer' is {token.wearer!r}; a wearer's token names her id, a "
                "therapist's names none"
            )
    if bool(settings.web.certificate) is not bool(settings.web.key):
        raise ConfigError(f"{path}: keys 'web.certificate' and 'web.key' go together; give both or none")
    commands, seen = settings.commands, set()
    for i, issuer in enumerate(commands.issuers):
        if not topics.is_id(issuer.id) or issuer.id in seen:
            raise ConfigError(
                f"{path}: key 'commands.issuers[{i}].id' is {issuer.id!r}; use 1-32 small letters, digits and '-', each once"
            )
        seen.add(issuer.id)
    for key, value, most in (("per_minute", commands.per_minute, 600), ("most_age_s", commands.most_age_s, _DAY_S)):
        if not 1 <= value <= most:
            raise ConfigError(f"{path}: key 'commands.{key}' is {value}; use 1 to {most}")


def _check_radio(radio: RadioSettings, path: Path) -> None:
    seen: set[str] = set()
    for i, adapter in enumerate(radio.adapters):
        key = f"{path}: key 'radio.adapters[{i}]"
        if not _BLUETOOTH.fullmatch(adapter.address.upper()) or adapter.address.upper() in seen:
            raise ConfigError(
                f"{key}.address' is {adapter.address!r}; write each adapter's own Bluetooth address once "
                "('tiltline doctor' shows it)"
            )
        if adapter.max_links < 1:
            raise ConfigError(f"{key}.max_links' is {adapter.max_links}; use 1 or more")
        seen.add(adapter.address.upper())
    for name, table in (("session", radio.session), ("timing", radio.timing)):
        for f in dataclasses.fields(table):
            if not 0 < getattr(table, f.name) < _DAY_S:
                raise ConfigError(f"{path}: key 'radio.{name}.{f.name}' is {getattr(table, f.name)}; use more than 0")


def check_retention(retention: Retention, path: Path) -> None:
    """Raise `ConfigError` for a number of days that cannot be meant."""
    for f in dataclasses.fields(retention):
        if not 0 <= getattr(retention, f.name) <= 36_500:
            raise ConfigError(f"{path}: key 'retention.{f.name}' is {getattr(retention, f.name)}; use 0 to 36500")


def check_timezone(name: str, where: str) -> None:
    """Raise `ConfigError` unless the time zone database knows ``name``."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"{where} is {name!r}; use a name such as 'Europe/Berlin'") from None
