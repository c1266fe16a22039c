"""Data files as release 0.1.0 wrote them: its schemas as text, filled with a few rows in its forms. Regenerated at each test."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from processing.types import DeviceReport, Metric
from sensor_gateway.drivers.base import Received
from sensor_gateway.spool import block
from sensor_gateway.spool.block import Source

T0 = 1_772_352_000 * 10**9
S = 10**9

SPOOL = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE journal (id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    small INTEGER NOT NULL, last_rx_utc_ns INTEGER NOT NULL, size INTEGER NOT NULL, block BLOB NOT NULL,
    UNIQUE (sensor, first_seq));
CREATE INDEX journal_small ON journal (sensor, first_seq) WHERE small;
CREATE TABLE run (sensor TEXT NOT NULL, run INTEGER NOT NULL, wearer TEXT NOT NULL, setup_hash TEXT NOT NULL,
    warm_seq INTEGER NOT NULL, start_seq INTEGER NOT NULL, next_ordinal INTEGER, snapshot_seq INTEGER, snapshot BLOB,
    PRIMARY KEY (sensor, run));
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, wearer TEXT NOT NULL, sensor TEXT NOT NULL, kind TEXT NOT NULL,
    t_utc_ns INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE cursor (sink TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE set_aside (id INTEGER PRIMARY KEY, sensor TEXT, kind TEXT, reason TEXT, body BLOB);
PRAGMA user_version = 1;
"""
STORE = """
CREATE TABLE metric (wearer TEXT NOT NULL, sensor TEXT NOT NULL, t_utc_ns INTEGER NOT NULL, anterior_tilt_deg REAL,
    obliquity_deg REAL, tilt_uncertainty_deg REAL, posture TEXT NOT NULL, posture_confidence REAL NOT NULL,
    coverage REAL NOT NULL, quality REAL NOT NULL, PRIMARY KEY (wearer, t_utc_ns, sensor)) WITHOUT ROWID;
CREATE TABLE device (wearer TEXT NOT NULL, sensor TEXT NOT NULL, t_utc_ns INTEGER NOT NULL, battery_percent REAL,
    rssi_dbm REAL, rate_hz REAL, frames_received INTEGER, frames_lost INTEGER, frames_rejected INTEGER, link TEXT,
    PRIMARY KEY (wearer, t_utc_ns, sensor)) WITHOUT ROWID;
CREATE TABLE event (wearer TEXT NOT NULL, sensor TEXT NOT NULL, t_utc_ns INTEGER NOT NULL, event_id TEXT NOT NULL,
    type TEXT NOT NULL, rule TEXT, data TEXT NOT NULL, PRIMARY KEY (event_id)) WITHOUT ROWID;
CREATE INDEX event_time ON event (wearer, t_utc_ns, event_id);
PRAGMA user_version = 1;
"""
BRIDGE = """
CREATE TABLE gateway (id INTEGER PRIMARY KEY, site TEXT NOT NULL, gateway TEXT NOT NULL, spool TEXT NOT NULL,
    up_to INTEGER NOT NULL, heard INTEGER NOT NULL, UNIQUE (site, gateway, spool));
CREATE TABLE queue (id INTEGER PRIMARY KEY AUTOINCREMENT, source INTEGER NOT NULL, seq INTEGER NOT NULL,
    after INTEGER NOT NULL, line TEXT NOT NULL, UNIQUE (source, seq));
CREATE TABLE settled (source INTEGER NOT NULL, seq INTEGER NOT NULL, after INTEGER NOT NULL, PRIMARY KEY (source, seq))
    WITHOUT ROWID;
CREATE TABLE dead_letter (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, reason TEXT NOT NULL, topic TEXT NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counter VALUES ('received', 5), ('written', 2), ('rejected', 1), ('duplicates', 4);
"""
METRIC = (
    b'{"t_utc_ns":%d,"anterior_tilt_deg":3.25,"obliquity_deg":0.1,"tilt_uncertainty_deg":1.5,"posture":"standing",'
    b'"posture_confidence":0.9,"coverage":1.0,"quality":0.8}'
)
DEVICE = (
    b'{"t_utc_ns":%d,"battery_percent":88.0,"rssi_dbm":null,"rate_hz":null,"frames_received":9,"frames_lost":3,'
    b'"frames_rejected":0,"link":"streaming"}'
)
EXPECTED = (
    Metric(T0, 3.25, 0.1, 1.5, "standing", 0.9, 1.0, 0.8),
    DeviceReport(T0, battery_percent=88.0, frames_received=9, frames_lost=3, frames_rejected=0, link="streaming"),
)


def make(folder: Path) -> None:
    """spool.db, store.db and bridge.db of release 0.1.0."""
    folder.mkdir(parents=True, exist_ok=True)
    payloads = [(Source("open", 1), Received("uuid", bytes([i]) * 20, i * S, T0 + i * S)) for i in range(30)]
    body = block.encode(payloads)
    with sqlite3.connect(folder / "spool.db") as db:
        db.executescript(SPOOL)
        db.execute("INSERT INTO meta VALUES ('spool', '8c1f000000000000')")
        db.execute("INSERT INTO journal VALUES (1, 'clip-1', 1, 30, 0, ?, ?, ?)", (T0 + 29 * S, len(body), body))
        db.execute("INSERT INTO run VALUES ('clip-1', 1, 'w-001', 'old', 1, 1, 4, 30, ?)", (b"a state of 0.1.0",))
        rows = [("metric", METRIC % T0), ("device", DEVICE % T0), ("metric", METRIC % (T0 + S))]
        db.executemany(
            "INSERT INTO outbox (wearer, sensor, kind, t_utc_ns, body) VALUES ('w-001', 'clip-1', ?, 0, ?)", rows
        )
        db.execute("UPDATE outbox SET t_utc_ns = ? + CASE seq WHEN 3 THEN ? ELSE 0 END", (T0, S))
        db.execute("INSERT INTO cursor VALUES ('store', 0), ('mqtt', 1)")
    with sqlite3.connect(folder / "store.db") as db:
        db.executescript(STORE)
        db.execute("INSERT INTO metric VALUES ('w-001', 'clip-1', ?, 3.25, 0.1, 1.5, 'standing', 0.9, 1.0, 0.8)", (T0,))
        db.execute("INSERT INTO device VALUES ('w-001', 'clip-1', ?, 88.0, NULL, NULL, 9, 3, 0, 'streaming')", (T0,))
        db.execute("INSERT INTO event VALUES ('w-001', 'clip-1', ?, 'abc', 'flag', 'tilt_dose', '{\"why\":1}')", (T0,))
    with sqlite3.connect(folder / "bridge.db") as db:
        db.executescript(BRIDGE)
        db.execute("INSERT INTO gateway VALUES (1, 'home', 'gw-1', '8c1f000000000000', 2, 1)")
        db.execute("INSERT INTO queue VALUES (3, 1, 3, 2, 'tilt,sensor=clip-1,site=home,wearer=w-001 coverage=1.0 5')")
        db.execute("INSERT INTO queue VALUES (4, 1, 4, 3, 'tilt,sensor=clip-1,site=home,wearer=w-001 coverage=1.0 6')")
        db.execute("INSERT INTO dead_letter VALUES (1, 'digest', 'bad', 't', 'body')")
