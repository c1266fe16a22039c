"""The operations dashboard: is everything alive, and is anything being lost on the way?"""

from __future__ import annotations

from typing import Final

from dashboards.influxql import BRIDGE, DEVICE, EPOCH, EVENT, GATEWAY, RECEIVED, TILT, Source, of_type
from dashboards.model import UNITS, Dashboard, Override, Panel, Query
from dashboards.panels import stat, state_timeline, table, time_series
from dashboards.shared import about, event_columns, hidden, named, wearers

OPERATIONS_UID: Final = "tiltline-operations"

_SENSOR = ("wearer", "sensor")
_NAME = "$tag_wearer · $tag_sensor"
_LINK_LOOKS: Final = {
    "streaming": ("streaming", "green"),
    "connecting": ("connecting", "yellow"),
    "starting": ("starting", "yellow"),
    "searching": ("searching", "orange"),
    "stalled": ("stalled", "orange"),
    "lost": ("lost", "red"),
}


def operations() -> Dashboard:
    """Sensors, links, losses and the flow of records."""
    return Dashboard(
        uid=OPERATIONS_UID,
        title="Tiltline · Operations",
        description="Age of the data, sensors' state, lost and rejected frames, records per minute, coverage.",
        tags=("operations",),
        variables=wearers(several=True),
        time_from="now-24h",
        refresh="30s",
        panels=(
            _age(),
            _state(),
            _link(),
            *_counts(),
            _battery(),
            _rssi(),
            _rate(),
            _records(),
            _lost(),
            _rejected(),
            _coverage(),
            _gateways(),
            _bridge(),
            _waiting(GATEWAY, "Records that wait at the gateways", by=("gateway",), alias="$tag_gateway"),
            _waiting(BRIDGE, "Records that wait at the bridges", by=("bridge",), alias="$tag_bridge"),
            _log(),
        ),
    )


def _age() -> Panel:
    return table(
        "Age of the data",
        "The newest second stored of each sensor, oldest first. A sensor that is worn and streaming is a few seconds old; a "
        "sensor missing here has stored nothing in the chosen time.",
        # A selector alone keeps the time of its point: the row's time is the newest second.
        [Query(TILT.latest({"Coverage": TILT.call("last", "coverage")}, by=("site", *_SENSOR)), table=True)],
        width=10,
        sort_by=(("Newest data", False),),
        overrides=(
            Override("Time", {"displayName": "Newest data", "unit": "dateTimeFromNow", "custom.width": 180}),
            *named(wearer="Wearer", sensor="Sensor", site="Site"),
            Override("Coverage", {"unit": "percentunit", "decimals": 0}),
        ),
    )


def _state() -> Panel:
    columns = {
        "Battery": DEVICE.call("last", "battery_percent"),
        "Signal": DEVICE.call("last", "rssi_dbm"),
        "Rate": DEVICE.call("last", "rate_hz"),
        "Received": DEVICE.call("last", "frames_received"),
        "Lost": DEVICE.call("last", "frames_lost"),
        "Rejected": DEVICE.call("last", "frames_rejected"),
        "Link": DEVICE.call("last", "link"),
    }
    return table(
        "Sensors, latest report",
        "What each sensor last reported in the chosen time. Received and rejected count payloads, lost counts samples, all "
        "since the gateway first met the sensor. Empty: not reported.",
        [Query(DEVICE.latest(columns, by=("site", *_SENSOR)), table=True)],
        width=14,
        overrides=(
            hidden("Time"),
            *named(wearer="Wearer", sensor="Sensor", site="Site", gateway="Gateway"),
            Override("Battery", {"unit": "percent", "decimals": 0}),
            Override("Signal", {"unit": UNITS["dBm"]}),
            Override("Rate", {"unit": "hertz", "decimals": 1}),
        ),
    )


def _link() -> Panel:
    return state_timeline(
        "Link",
        f"{about('device', 'link')} Blank: no report in that interval.",
        [Query(DEVICE.series({"Link": DEVICE.call("last", "link")}, by=_SENSOR), alias=_NAME)],
        states=_LINK_LOOKS,
        height=8,
        min_interval="1m",
    )


def _battery() -> Panel:
    return _per_sensor(
        "Battery",
        "battery_percent",
        "last",
        "%",
        "Empty sensors record nothing: charge below 20 %.",
        steps=((None, "red"), (20, "green")),
        low=0,
        high=100,
    )


def _rssi() -> Panel:
    return _per_sensor("Signal strength", "rssi_dbm", "mean", "dBm", "Below about −90 dBm packets get lost.")


def _rate() -> Panel:
    return _per_sensor(
        "Sample rate", "rate_hz", "mean", "Hz", "A rate below the configured one means samples are lost."
    )


def _records() -> Panel:
    return time_series(
        "Records per minute",
        "Seconds stored per minute and sensor: 60 when everything arrives. No point: nothing was stored in that minute.",
        [Query(TILT.counts("Seconds", "coverage", every="1m", by=_SENSOR), alias=_NAME)],
        unit="per minute",
        width=12,
        # Points: a line would run straight across the minutes in which nothing was stored.
        style="points",
        low=0,
        high=60,
        many=True,
    )


def _lost() -> Panel:
    return _growth("Samples lost per interval", "frames_lost", "Growth of the sensor's own counter.")


def _rejected() -> Panel:
    return _growth("Payloads rejected per interval", "frames_rejected", "They are kept aside with their reason.")


def _coverage() -> Panel:
    return time_series(
        "Coverage",
        f"{about('epoch', 'coverage')} Blank: no minute was stored.",
        [Query(EPOCH.series({"Coverage": EPOCH.call("mean", "coverage")}, by=_SENSOR, where=(RECEIVED,)), alias=_NAME)],
        unit="1",
        low=0,
        high=1,
        many=True,
    )


def _counts() -> tuple[Panel, ...]:
    def counted(title: str, event_type: str, description: str) -> Panel:
        query = EVENT.latest({title: EVENT.call("count", "event_id")}, where=(of_type(event_type),))
        return stat(title, f"{description} No data: none in the chosen time.", [Query(query)], unit="count", width=8)

    return (
        counted("Gaps", "gap", "Stretches with missing samples."),
        counted("Clock events", "clock", "Times a sensor's clock was fitted anew, reset or put aside."),
        counted("Mount changes", "mount", "Times a sensor was put on again or moved."),
    )


def _gateways() -> Panel:
    columns = {
        "Online": GATEWAY.call("last", "online"),
        "Computed": GATEWAY.call("last", "received"),
        "Durable": GATEWAY.call("last", "delivered"),
        "Dropped": GATEWAY.call("last", "dropped"),
        "Waiting": GATEWAY.call("last", "queued"),
        "Set aside": GATEWAY.call("last", "set_aside"),
        "Lag": GATEWAY.call("last", "lag_s"),
        "Clock ahead": GATEWAY.call("last", "clock_offset_s"),
        "Disk free": GATEWAY.call("last", "disk_free_mb"),
        "Descriptors": GATEWAY.call("last", "open_fds"),
        "D-Bus": GATEWAY.call("last", "dbus_connections"),
        "Refused": GATEWAY.call("last", "refused"),
    }
    return table(
        "Gateways, latest state",
        "What each gateway last said of itself. Computed = durable + dropped + waiting. Clock ahead: against the bridge's clock. "
        "Refused: page requests, sign-ins and commands since its start; `tiltline status` there says why.",
        [Query(GATEWAY.latest(columns, by=("site", "gateway")), table=True)],
        height=5,
        overrides=(
            hidden("Time"),
            *named(wearer="Wearer", sensor="Sensor", site="Site", gateway="Gateway"),
            Override("Lag", {"unit": "s", "decimals": 0}),
            Override("Clock ahead", {"unit": "s", "decimals": 1}),
            Override("Disk free", {"unit": "decmbytes", "decimals": 0}),
        ),
    )


def _bridge() -> Panel:
    names = ("received", "written", "rejected", "dropped", "queued", "duplicates", "dead_letters")
    columns = {name.replace("_", " ").capitalize(): BRIDGE.call("last", name) for name in names}
    balance = " - ".join(BRIDGE.call("last", name) for name in names[:5])
    columns |= {"Not accounted for": balance, "Lag": BRIDGE.call("last", "lag_s")}
    columns["Disk free"] = BRIDGE.call("last", "disk_free_mb")
    return table(
        "Bridges, latest state",
        "Received = written + rejected + dropped + queued; anything not accounted for is an error of ours. `tiltline deadletter` "
        "shows what was rejected and why.",
        [Query(BRIDGE.latest(columns, by=("site", "bridge")), table=True)],
        height=5,
        overrides=(
            hidden("Time"),
            *named(site="Site", bridge="Bridge"),
            Override("Lag", {"unit": "s", "decimals": 0}),
            Override("Disk free", {"unit": "decmbytes", "decimals": 0}),
        ),
    )


def _waiting(source: Source, title: str, *, by: tuple[str, ...], alias: str) -> Panel:
    return time_series(
        title,
        f"{about(source.measurement, 'queued')} A line that only climbs: the next station is away. Blank: nothing was said.",
        [Query(source.series({"Waiting": source.call("last", "queued")}, by=by), alias=alias)],
        unit="count",
        width=12,
        low=0,
        min_interval="1m",
    )


def _log() -> Panel:
    types = of_type("gap", "clock", "mount", "wear_on", "wear_off", "alignment")
    return table(
        "Gaps, clocks, mounts and wear",
        "What happened to the sensors, newest first, with the reason.",
        [Query(EVENT.rows(("wearer", "sensor", "type", "summary"), where=(types,)), table=True)],
        overrides=event_columns(),
    )


def _per_sensor(
    title: str,
    name: str,
    function: str,
    unit: str,
    note: str,
    *,
    steps: tuple[tuple[float | None, str], ...] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Panel:
    return time_series(
        title,
        f"{about('device', name)} {note}",
        [Query(DEVICE.series({title: DEVICE.call(function, name)}, by=_SENSOR), alias=_NAME)],
        unit=unit,
        width=12,
        steps=steps,
        low=low,
        high=high,
        many=True,
    )


def _growth(title: str, name: str, note: str) -> Panel:
    growth = f"non_negative_difference({DEVICE.call('last', name)})"
    return time_series(
        title,
        f"{about('device', name)} {note} A counter that starts again from zero is not drawn as a loss.",
        [Query(DEVICE.series({title: growth}, by=_SENSOR), alias=_NAME)],
        unit="count",
        width=12,
        style="bars",
        min_interval="5m",
        many=True,
    )
