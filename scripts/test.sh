#!/usr/bin/env bash
# All checks and all tests. Two workers; tests that own a server or a browser stay together on one.
set -euo pipefail
scripts/check.sh
.venv/bin/python scripts/audit.py
for packages in tests/dashboards/schema tests/wire/asyncapi; do scripts/npm.sh "$packages"; done
exec .venv/bin/pytest -n 2 --dist loadgroup "$@"
