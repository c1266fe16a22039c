"""The `tiltline` command: one module per sub-command, loaded only when it is called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from sensor_gateway.cli.examples import epilog

COMMANDS: Final = {
    "demo": "a simulated wearer's day on this machine: page, flags, export; nothing to set up",
    "run": "the gateway: read the sensors of a configuration, journal, compute, deliver",
    "scan": "which sensors are around, which driver would read them, and how strong the signal is",
    "bind": "bind a sensor to a wearer (or free it) in the gateway file",
    "sensors": "how each bound sensor is doing: link, battery, signal, rate, losses, clock, firmware",
    "recordings": "a sensor worn without a gateway: list, start, stop, fetch and erase what it records on its own memory",
    "capture": "record a sensor's raw notifications into a redacted file that is a golden packet test",
    "bridge": "carry records from the MQTT broker into InfluxDB",
    "status": "are gateway and bridge alive, do their books balance, what waits and what troubles them",
    "deadletter": "list, show and send again what the bridge could not write",
    "command": "ask a gateway over the broker to calibrate, snooze, stop, resume or change the programme; signed",
    "init-stack": "make a site's certificates, passwords, tokens, access list and settings",
    "web": "serve the wearer's page from a store",
    "process": "turn recordings into samples, metrics, epochs and events",
    "import": "look into a foreign recording, guess its units and axes, write a clean one",
    "alignment": "where zero lies and how sure that is; a therapist's offset; corrections of the past",
    "replay": "derive everything again from a journal",
    "study": "the study as one file: its hash, the whole of it, and taking in another with what it changes",
    "programme": "show, edit and decide a wearer's exercise programme, through the running gateway",
    "log": "write pain, a note or an exercise done into a wearer's diary, through the running gateway",
    "export": "write records and raw samples as CSV, Parquet or Motion-BIDS",
    "backup": "copy a gateway's or bridge's data while it runs, with hashes",
    "restore": "check a backup and put it in the place of the data folder",
    "salvage": "a damaged journal without a backup: what can be read in a new one, and what is lost",
    "retain": "delete what is older than the configuration keeps it; the gateway does so daily",
    "consent": "enter, withdraw and show what a wearer has agreed to; the running gateway heeds it",
    "names": "which person a pseudonym stands for, in a file only its owner may read",
    "portability": "everything held on one wearer as one ZIP that opens without Tiltline",
    "erase": "everything held on one wearer, out of every store, file, queue and message; with a receipt",
    "report": "a wearer's day or week as one self-contained HTML file, or PDF",
    "explain": "say what a flag saw, why it was raised and what it led to; work it through again",
    "validate": "compare with recordings whose truth is known; write a report with figures",
    "doctor": "check this machine and a configuration; say what is missing and how to mend it",
    "bench": "measure what core, store, exports and journal cost on this machine",
}
"""Command to its line in `tiltline --help`; the module is `cli/<name>.py` (`import_.py` for import)."""

_EPILOG = (
    "Start with `tiltline demo`. `tiltline COMMAND --help` explains one command.\n"
    "Tiltline is no medical device and makes no diagnosis; exercises belong into the hands of a specialist."
)


class _Overview(argparse.RawDescriptionHelpFormatter):
    """Each command beside its line, also the longest ones: argparse forgets that it indents them twice."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = max(map(len, COMMANDS)) + 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status (0 done, 1 failed with a sentence on stderr, 2 wrong usage)."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="tiltline",
        description="Pelvic tilt through the day: gateway, page, dashboards, research tools.",
        epilog=_EPILOG,
        formatter_class=_Overview,
    )
    parser.add_argument("--version", action="version", version=_version())
    sub = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    # Only the chosen command's module is imported: help stays instant and a light install stays usable.
    chosen = next((w for w in words if not w.startswith("-")), None)
    module = None
    for name, text in COMMANDS.items():
        command = sub.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", epilog=epilog(name))
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        if name == chosen:
            try:
                module = importlib.import_module(f"sensor_gateway.cli.{module_of(name)}")
            except ModuleNotFoundError as e:
                if (e.name or "").split(".")[0] in ("sensor_gateway", "processing"):
                    raise
                extra = "research" if name in ("process", "import", "export", "validate") else "gateway"
                print(f"tiltline {name}: needs the package {e.name}; pip install 'tiltline[{extra}]'", file=sys.stderr)
                return 1
            except KeyboardInterrupt:  # on a slow machine loading takes long enough to think better of it
                return 130
            module.configure(command)
    args = parser.parse_args(words)
    if module is None:
        parser.print_help()
        return 0 if not words else 2
    try:
        status: int = module.run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `tiltline ... | head` is no failure
        sys.stderr.close()
        return 0
    return status


def module_of(name: str) -> str:
    """The module of a command: a keyword gets an underscore behind it, a dash becomes one."""
    return "import_" if name == "import" else name.replace("-", "_")


def _version() -> str:
    from importlib.metadata import version

    return f"tiltline {version('tiltline')}"
