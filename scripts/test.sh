#!/usr/bin/env bash
# All checks and all tests. Three workers on two processors, for half of the time is waiting; tests that share a site stay
# together on one. Logs of what failed: artifacts/failed.
set -euo pipefail
scripts/check.sh
.venv/bin/python scripts/audit.py
for packages in tests/dashboards/schema tests/wire/asyncapi tests/integration/axe; do scripts/npm.sh "$packages"; done
status=0
.venv/bin/pytest -n 3 --dist loadgroup --durations=15 "$@" || status=$?
[ "$status" -eq 1 ] || exit "$status"
# Some hundred tests drive real servers in real time. What failed gets the machine for itself, once: a fault fails again.
echo "test: what failed runs once more, alone. What passes now leans on chance or hides a race: please find it, logs are in artifacts/failed"
.venv/bin/pytest -rA --maxfail=1 --last-failed --last-failed-no-failures none
