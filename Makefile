# make demo   a simulated day on this machine       make test   everything CI runs
# make check  format, lint, types, import contracts
# make bench  what core, store and exports cost here, in about two minutes (REFERENCE=folder: the journal of real recordings too)
# make bench-all  every benchmark beside its aim: servers, 500 live wearers, Dask, identity; an hour or more (REFERENCE=folder)
# make bench-peers  the same recordings through the pipelines of mobgap and scikit-digital-health (REFERENCE=folder: real walks too)
# make chaos  300 random faults on real servers (docs/faults.md)
# make validate DATA=folder  errors against recordings with a known truth, other methods beside; writes report/
# make peers  the adapters to the other methods, in a virtual environment of their own
# make bluez  the gateway against a true BlueZ in a virtual machine: Debian 12, or DEBIAN=13
# make stack-test  the compose stack in podman: 20,000 messages over TLS, every service killed and restarted (as root)
# make audit  known vulnerabilities of the pinned packages
# make dashboard-pictures  every dashboard drawn with Grafana's own components, light and dark; into artifacts/
# make fuzz   a million random and damaged payloads for each sensor's decoder (about a quarter of an hour)
# make fuzz-messages  a million random and damaged messages into bridge, commands and page, each
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_SECONDS ?= 0
DEMO_ARGS ?=

PEERS := .venv-validation
DATA ?= reference
OUT ?= report

FUZZ_COUNT ?= 1000000

.PHONY: demo validate peers test fast check fuzz fuzz-messages bench bench-all bench-peers bluez stack-test audit dashboards dashboard-pictures clean
.DEFAULT_GOAL := help
help:
	@sed -n 's/^# //p' Makefile

# The stamps make set-up a matter of the first run: afterwards nothing here needs a network.
$(VENV)/.run: pyproject.toml constraints.txt scripts/venv.sh
	@scripts/venv.sh "$(PYTHON)" "$(VENV)" gateway && touch $@

# What the tests need holds what a run needs.
$(VENV)/.test: pyproject.toml constraints.txt scripts/venv.sh
	@scripts/venv.sh "$(PYTHON)" "$(VENV)" test && touch $(VENV)/.run $@

demo: $(VENV)/.run
	@$(BIN)/tiltline demo --seconds $(DEMO_SECONDS) $(DEMO_ARGS)

test: $(VENV)/.test
	@scripts/debian.sh
	@scripts/test.sh

fast: $(VENV)/.test
	@$(BIN)/pytest -q -n 3 --dist loadgroup -m "not slow and not servers and not browser and not node"

check: $(VENV)/.test
	@scripts/check.sh

fuzz: $(VENV)/.test
	@$(BIN)/python -m tests.fuzz_drivers --count $(FUZZ_COUNT)

fuzz-messages: $(VENV)/.test
	@$(BIN)/python -m tests.security.fuzz_messages --count $(FUZZ_COUNT)

# The other methods bring a gigabyte of packages: they get an environment of their own.
$(PEERS)/.validation: pyproject.toml constraints.txt scripts/venv.sh
	@scripts/venv.sh "$(PYTHON)" "$(PEERS)" validation && touch $@

validate: $(PEERS)/.validation
	@$(PEERS)/bin/tiltline validate $(DATA) --out $(OUT) --jobs 2

peers: $(PEERS)/.validation
	@$(PEERS)/bin/python -m tests.validation.peers_check

bench: $(VENV)/.run
	@TILTLINE_REFERENCE="$${TILTLINE_REFERENCE:-$(REFERENCE)}" $(BIN)/tiltline bench $(BENCH_ARGS)
	@echo "Several processes, servers or hours, each by its own command: docs/benchmarks.md"

bench-all: $(VENV)/.test $(PEERS)/.validation
	@scripts/debian.sh
	@TILTLINE_REFERENCE="$${TILTLINE_REFERENCE:-$(REFERENCE)}" $(BIN)/python -m tests.scale.bars $(BENCH_ARGS)

bench-peers: $(PEERS)/.validation
	@TILTLINE_REFERENCE="$${TILTLINE_REFERENCE:-$(REFERENCE)}" $(PEERS)/bin/tiltline bench peers $(BENCH_ARGS)

bluez: $(VENV)/.test
	@PYTHON=$(BIN)/python scripts/bluez_vm.sh $(or $(DEBIAN),12)

chaos: $(VENV)/.test
	@scripts/debian.sh
	@$(BIN)/python -m tests.faults.chaos $(CHAOS_ARGS)

stack-test: $(VENV)/.test
	@scripts/stack_test.sh $(BIN)/python $(STACK_ARGS)

audit: $(VENV)/.test
	@$(BIN)/python scripts/audit.py $(AUDIT_ARGS)

dashboards: $(VENV)/.run
	@$(BIN)/python -m dashboards

dashboard-pictures: $(VENV)/.test
	@$(BIN)/python scripts/pictures/draw.py $(PICTURES_ARGS)

clean:
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis artifacts demo-data
