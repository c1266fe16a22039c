# make demo   a simulated day on this machine       make test   everything CI runs
# make check  format, lint, types, import contracts  make bench  speed of the numeric core
# make fuzz   a million random and damaged payloads for each sensor's decoder (about a quarter of an hour)
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_SECONDS ?= 0
DEMO_ARGS ?=

FUZZ_COUNT ?= 1000000

.PHONY: demo test fast check fuzz bench dashboards clean
.DEFAULT_GOAL := help
help:
	@sed -n 's/^# //p' Makefile

# The stamps make set-up a matter of the first run: afterwards nothing here needs a network.
$(VENV)/.run: pyproject.toml constraints.txt scripts/venv.sh
	@scripts/venv.sh "$(PYTHON)" "$(VENV)" gateway && touch $@

$(VENV)/.test: $(VENV)/.run
	@scripts/venv.sh "$(PYTHON)" "$(VENV)" test && touch $@

demo: $(VENV)/.run
	@$(BIN)/tiltline demo --seconds $(DEMO_SECONDS) $(DEMO_ARGS)

test: $(VENV)/.test
	@scripts/debian.sh
	@scripts/test.sh

fast: $(VENV)/.test
	@$(BIN)/pytest -q -m "not slow and not servers and not browser and not node"

check: $(VENV)/.test
	@scripts/check.sh

fuzz: $(VENV)/.test
	@$(BIN)/python -m tests.fuzz_drivers --count $(FUZZ_COUNT)

bench: $(VENV)/.run
	@$(BIN)/tiltline bench

dashboards: $(VENV)/.run
	@$(BIN)/python -m dashboards

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis artifacts demo-data
