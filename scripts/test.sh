#!/usr/bin/env bash
# All checks and all tests. Two workers; tests that share a site stay together on one. Logs of what failed: artifacts/failed.
set -euo pipefail
scripts/check.sh
.venv/bin/python scripts/audit.py
for packages in tests/dashboards/schema tests/wire/asyncapi tests/integration/axe; do scripts/npm.sh "$packages"; done
exec .venv/bin/pytest -n 2 --dist loadgroup --durations=15 "$@"
