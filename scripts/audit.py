"""audit.py [--must] [--file FILE] [-- OPTION...]: known vulnerabilities of what constraints.txt pins, by pip-audit.

Exit status 1 where one is known. Where the index gives no advisories that is said, and is no failure, unless ``--must`` asks for an
answer on every package. Options after ``--`` go to pip-audit, e.g. ``-- -s osv``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path


def audit(file: Path, options: list[str]) -> list[dict[str, object]]:
    """pip-audit's word on each package; empty where it could not ask at all."""
    command = [str(Path(sys.executable).parent / "pip-audit"), "--requirement", str(file), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", *(options or ["-s", "pypi"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, object]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        sys.stderr.write(done.stderr[-2000:])
        return []
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="audit.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--must", action="store_true", help="fail where a package could not be asked for")
    parser.add_argument("--file", type=Path, default=Path("constraints.txt"), help="pins (default: %(default)s)")
    parser.add_argument("options", nargs="*", help="for pip-audit, after --")
    given = parser.parse_args()
    found = audit(given.file, given.options)
    asked = [one for one in found if "skip_reason" not in one]
    bad = [one for one in asked if one["vulns"]]
    for one in bad:
        known = one["vulns"]
        names = ", ".join(str(v["id"]) for v in known) if isinstance(known, list) else str(known)
        print(f"{one['name']} {one['version']}: {names}")
    if not asked:
        print(f"Dependencies NOT audited: the index answers no question about {given.file}; try again elsewhere")
    else:
        print(f"Dependencies audited: {len(asked)} of {len(found)}, {len(bad)} with known vulnerabilities")
    return int(bool(bad) or (given.must and (not asked or len(asked) < len(found))))


if __name__ == "__main__":
    sys.exit(main())
