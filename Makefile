# Every command a contributor needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Tests start hundreds of processes: none of them is to compile what it imports again.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= auto
PYTEST := $(BIN)/pytest -q -n $(WORKERS) --dist worksteal
NOT_FAST := slow or kubo or js
SLOW := slow and not kubo and not js
OF_THE_CORE := $(wildcard tests/unit/test_*.py) $(addprefix tests/unit/,allocation ledger pbft pins reputation \
	signing sync sim node) \
	tests/property tests/datadriven tests/simulation
COMPILED := $(BIN)/python scripts/compile_core.py
SIMULATE := $(COMPILED) $(BIN)/python -m bftcluster_cli sim cluster

.PHONY: help
help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/installed ## make .venv with everything and the `bftcluster` command (instant when nothing changed)

$(VENV)/locked: requirements/dev.txt requirements/build.txt scripts/setup
	@scripts/setup $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/locked pyproject.toml
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

.PHONY: demo
demo: setup ## run four peers on this machine: a pin from signature to disk
	@$(BIN)/bftcluster demo

.PHONY: test
test: setup ## run the tests that finish within a minute or two
	@$(PYTEST) -m "not ($(NOT_FAST))"

.PHONY: test-compiled
test-compiled: setup ## compile the core as in a wheel, and run its own fast tests with it
	@HYPOTHESIS_PROFILE=compiled $(COMPILED) $(PYTEST) -m "not ($(NOT_FAST))" $(OF_THE_CORE)

.PHONY: test-slow
test-slow: setup ## run the slow tests of one process: longer searches, what else takes minutes
	@$(PYTEST) -m "$(SLOW)" --ignore tests/e2e

.PHONY: test-processes
test-processes: setup ## run the slow tests of real peers
	@$(PYTEST) -m "$(SLOW)" tests/e2e

.PHONY: test-foreign
test-foreign: setup ## run the tests against Kubo and the JavaScript importers (downloads them)
	@PYTHON=$(BIN)/python tests/foreign/setup.sh
	@$(PYTEST) -m "kubo or js"

.PHONY: check
check: setup ## formatting, lint, types, import contracts, house rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PYTHONPATH=.:cli:simulations $(BIN)/lint-imports
	@$(BIN)/pytest -q -m "not slow" tests/architecture

.PHONY: fmt
fmt: setup ## format, and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: cov
cov: setup ## run the fast tests with branch coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -q -n $(WORKERS) -m "not ($(NOT_FAST))"
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

.PHONY: campaigns
campaigns: setup ## run the simulator's campaigns with a compiled core (two to six minutes)
	@$(SIMULATE) swarm --seeds 2000 --json
	@$(SIMULATE) swarm --seeds 100 --faults f+1 --json
	@$(SIMULATE) twins --json
	@$(SIMULATE) crash-points --json
	@$(SIMULATE) slow --json

.PHONY: hostile
hostile: setup ## attack a live cluster of four in every way we know (three to six minutes)
	@$(COMPILED) $(BIN)/python -m tests.hostile.run

.PHONY: determinism
determinism: setup ## run the deterministic scenarios twice: one trace whatever the hash seed
	@$(BIN)/pytest -q tests/determinism

.PHONY: mutants
mutants: setup ## seed one bug at a time and see which test notices it (about ten minutes)
	@$(BIN)/python -m tests.mutants.run $(OPTIONS)

.PHONY: bench
bench: setup ## run the benchmarks with a compiled core; writes benchmarks/results.json
	@$(COMPILED) $(BIN)/python -m benchmarks.run

.PHONY: lock
lock: setup ## resolve requirements/dev.txt anew
	@scripts/lock $(BIN)/python

.PHONY: ci
ci: ## what .ci/run does
	@.ci/run

.PHONY: clean
clean: ## remove the environment, the caches and what the builds left
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* dist build .foreign
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
