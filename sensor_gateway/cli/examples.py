"""How commands are used: lines to paste with what they are for, shown at the end of a command's help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ROOM: Final = 64
"""A longer line does not push the remarks of the others to the right."""

EXAMPLES: Final[Mapping[str, Mapping[str, str]]] = {
    "demo": {
        "tiltline demo": "a day, then live until Ctrl-C",
        "tiltline demo --hours 2 --seconds 30": "ends by itself",
        "tiltline demo --cohort 12 --days 30": "a clinic's month",
    },
    "run": {
        "tiltline run --config gateway.toml": "until Ctrl-C",
        "tiltline run --config gateway.toml --until-done --json": "recordings only, and what was counted",
    },
    "scan": {
        "tiltline scan": "what Tiltline could read, for 10 s",
        "tiltline scan --all --seconds 30 --json": "everything on the air, for a machine",
    },
    "bind": {
        "tiltline bind C0:00:00:00:00:01 w-001 --config gateway.toml": "",
        'tiltline bind "Movella DOT" w-002 --dry-run': "show the change only",
        "tiltline bind C0:00:00:00:00:02 w-003 --option chip=bmi160": "a MetaMotionR",
        "tiltline bind --unbind clip-1": "by sensor id or address",
    },
    "sensors": {
        "tiltline sensors --config gateway.toml": "",
        "tiltline sensors --json | jq '.[] | select(.state != \"streaming\")'": "those that want looking after",
    },
    "recordings": {
        "tiltline recordings clip-1": "what is on it",
        "tiltline recordings clip-1 --start": "record until --stop, or until the memory is full",
        "tiltline recordings clip-1 --stop --fetch --erase": "the evening",
    },
    "capture": {
        "tiltline capture clip-1 --seconds 30 --out tests/golden/dot-desk.capture.jsonl": "",
        "tiltline capture clip-1 --journal": "from a running gateway's journal; the radio is left alone",
        "tiltline capture --check tests/golden/*.jsonl": "decode again and compare",
    },
    "bridge": {
        "tiltline bridge --config bridge.toml": "until Ctrl-C",
        "tiltline bridge --config bridge-2.toml --shared": "one of several",
    },
    "status": {
        "tiltline status --config gateway.toml": "",
        "tiltline status --config bridge.toml --json": "for a machine",
    },
    "deadletter": {
        "tiltline deadletter list --config bridge.toml": "",
        "tiltline deadletter show 17 --config bridge.toml": "one, with everything known of it",
        "tiltline deadletter requeue --config bridge.toml --all": "send all again",
    },
    "command": {
        "tiltline command snooze --minutes 60 --wearer w-001 --gateway gw-1 --config site.toml --issuer pt-1 --key-file pt-1.key": "",
    },
    "init-stack": {
        "tiltline init-stack ./stack --wearer w-001 --wearer w-002": "",
        "tiltline init-stack ./stack --add --gateway gw-2 --wearer w-003": "a further gateway",
        "tiltline init-stack ./stack --rotate": "new passwords, keys and server certificate",
    },
    "web": {
        "tiltline web --config gateway.toml": "",
        "tiltline web --store demo-data/store.db --port 8090": "a store without its gateway",
    },
    "process": {
        "tiltline process walk.parquet --out result --start 2026-03-01T08:00:00Z --neutral 2:8 --mount up=+x,anterior=-z": "",
        "tiltline process walk.parquet --out result --neutral auto --mount auto": "nobody wrote it down",
        "tiltline process a.csv b.csv --mode retro --out results": "with hindsight, a folder each",
    },
    "import": {
        "tiltline import clip.csv": "look only",
        "tiltline import clip.csv --acc-unit g --out clean": "correct a guess and write clean/clip.parquet",
        "tiltline import clip.csv --acc=-AccY,AccX,AccZ --out clean": "turn or swap axes",
        "tiltline import clip.csv --map gz=-Yaw --map t=Clock": "single columns",
        "tiltline import Accelerometer.csv Gyroscope.csv": "two halves of one recording, joined on time",
    },
    "alignment": {
        "tiltline alignment list w-001 --config gateway.toml": "",
        "tiltline alignment show static-1a2b3c4d --config gateway.toml": "",
        "tiltline alignment offset w-001 12.5 --method caliper --rater th-03 --date 2026-03-01 --config gateway.toml": "",
        "tiltline alignment correct static-1a2b3c4d --neutral-at 2026-03-01T08:05:00Z 2026-03-01T08:05:06Z --config gateway.toml": "",
    },
    "replay": {
        "tiltline replay --config gateway.toml --check": "the same, bit for bit?",
        "tiltline replay --config gateway.toml --mode retro": "with hindsight",
        "tiltline replay --config gateway.toml --mode retro --influx": "into the database, beside the live series",
        "tiltline replay --config gateway.toml --study stricter.toml --diff stricter.html": "",
        "tiltline replay --config gateway.toml --alignment-template > poses.toml": "",
        "tiltline replay --config gateway.toml --alignment poses.toml --name other-zero --diff other-zero.html": "",
    },
    "study": {
        "tiltline study hash study.toml": "the hash that stands on every flag; the same on every machine",
        "tiltline study export --config gateway.toml --out study.toml": "rules, quiet hours, trial, programme and retention, every key",
        "tiltline study import theirs.toml --config gateway.toml": "check it, show what changes, put it in place",
    },
    "programme": {
        "tiltline programme show w-001": "what holds today, what waits, open proposals",
        "tiltline programme edit w-001 --editor pt-1": "open it in $EDITOR, then set it",
        "tiltline programme set w-001 --file p.toml --editor pt-1": "",
        "tiltline programme history w-001": "every version and who made it",
        "tiltline programme propose w-001": "proposals that wait for a decision",
        "tiltline programme accept w-001 PROPOSAL_ID --editor pt-1": "or decline",
    },
    "log": {
        'tiltline log w-001 pain 3 --note "after the stairs"': "",
        'tiltline log w-001 note "long drive today"': "",
        "tiltline log w-001 exercise hip_hinge --side both --sets 1 --reps 8": "",
    },
    "backup": {
        "tiltline backup /media/usb/2026-03-01 --config gateway.toml": "",
        "tiltline backup /media/usb/2026-03-01 --config gateway.toml --verify": "is it whole?",
    },
    "restore": {"tiltline restore /media/usb/2026-03-01 --config gateway.toml": ""},
    "salvage": {"tiltline salvage --config gateway.toml --dry-run": "what could be read, and what is lost"},
    "retain": {"tiltline retain --config gateway.toml --dry-run": "what would go"},
    "consent": {
        "tiltline consent w-001 grant --text 2026-03 --config gateway.toml": "",
        "tiltline consent w-001 show --config gateway.toml": "what was agreed to, and when",
    },
    "names": {
        "tiltline names w-001 'Her name' --config gateway.toml": "",
        "tiltline names --config gateway.toml": "all of them",
    },
    "portability": {"tiltline portability w-001 --out w-001.zip --config gateway.toml": ""},
    "erase": {
        "tiltline erase w-001 --config gateway.toml bridge-1.toml bridge-2.toml": "",
        "tiltline erase w-001 --config gateway.toml --search": "is anything held?",
    },
    "report": {
        "tiltline report day w-001 --store tiltline-data/store.db": "today",
        "tiltline report week w-001 --day 2026-11-18 --pdf --out week.pdf": "the week of that day",
    },
    "export": {
        "tiltline export --store tiltline-data/store.db --wearer w-001 --from 2026-03-01 --to 2026-03-08 --out week": "",
        "tiltline export --config gateway.toml --kind samples,steps,answers --out day": "",
        "tiltline export --config gateway.toml --kind all --by-day --out archive": "nightly",
        "tiltline export --config gateway.toml --format bids --out dataset": "",
        "tiltline export --store tiltline-data/store.db --shift-days random --remap-ids --out to-share": "",
        "tiltline export --check week": "are the files as they were written?",
    },
    "explain": {"tiltline explain 0f3a9c2d4e5b6a71 --store tiltline-data/store.db --svg flag.svg": ""},
    "validate": {"tiltline validate reference --out report --jobs 2": ""},
    "doctor": {"tiltline doctor --config gateway.toml": ""},
    "bench": {
        "tiltline bench": "",
        "tiltline bench core --mode retro": "the core alone, looking back",
        "tiltline bench journal --reference recordings": "the journal of real recordings",
        "tiltline bench day month --json": "for a machine",
    },
}


def epilog(command: str) -> str:
    """The examples of a command as the end of its help."""
    lines = EXAMPLES[command]
    width = max((len(line) for line, says in lines.items() if says and len(line) <= _ROOM), default=0)
    return "\n".join(["examples:", *(f"  {line.ljust(width)}   {says}".rstrip() for line, says in lines.items())])
