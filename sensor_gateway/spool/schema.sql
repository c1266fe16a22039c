-- The gateway's spool: raw journal, outbox and pipeline snapshots in one file, so that one transaction can span them and
-- a power cut takes back the newest transactions of all of them together.

CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- One row holds the consecutive entries first_seq..last_seq of one sensor; `small` rows await compaction.
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY,
    sensor TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    small INTEGER NOT NULL,
    last_rx_utc_ns INTEGER NOT NULL, -- arrival of the newest payload up to here; 0: none yet
    size INTEGER NOT NULL,
    block BLOB NOT NULL,
    UNIQUE (sensor, first_seq)
);
CREATE INDEX IF NOT EXISTS journal_small ON journal (sensor, first_seq) WHERE small;

-- A run is one configuration of one sensor's pipeline; its records carry ordinals from 0.
CREATE TABLE IF NOT EXISTS run (
    sensor TEXT NOT NULL,
    run INTEGER NOT NULL,
    wearer TEXT NOT NULL,
    setup_hash TEXT NOT NULL,
    warm_seq INTEGER NOT NULL,       -- the first journal entry that is this wearer's
    start_seq INTEGER NOT NULL,      -- the first journal entry whose records this run gives out
    next_ordinal INTEGER,            -- one above the highest ordinal in the outbox; NULL before the first record
    snapshot_seq INTEGER,            -- the last journal entry the snapshot has seen
    snapshot BLOB,                   -- of an earlier release; see the table below
    done_seq INTEGER,                -- the last journal entry whose records are in the outbox; NULL: of an earlier release
    PRIMARY KEY (sensor, run)
);

-- A run's newest snapshot. Not in its row: that is written each second, and SQLite would read and compare 300 kB with it.
CREATE TABLE IF NOT EXISTS snapshot (
    sensor TEXT NOT NULL,
    run INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (sensor, run)
);

-- AUTOINCREMENT: a sequence number is never used again, also after the outbox has been emptied.
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    wearer TEXT NOT NULL,
    sensor TEXT NOT NULL,
    kind TEXT NOT NULL,
    t_utc_ns INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS cursor (sink TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS set_aside (id INTEGER PRIMARY KEY, sensor TEXT, kind TEXT, reason TEXT, body BLOB);
