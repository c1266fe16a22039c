#!/usr/bin/env bash
# Format, lint, types, import contracts.
set -euo pipefail
bin=.venv/bin
$bin/ruff format --check --quiet .
$bin/ruff check --quiet .
$bin/mypy
$bin/lint-imports --no-cache
