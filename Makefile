# Every way of working on Podium, for people, hooks and continuous integration alike. `make help` lists them.

PYTHON ?= $(or $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done),python3)
BIN := .venv/bin
PODIUM := $(BIN)/podium
DESK := examples/support_desk

# What `make test` hands to pytest, for one part of the suite: make test ARGS="tests/engines -k replay"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test lint format bench performance peers chaos docs snapshot lock clean

help: ## Say what can be made
	@echo 'usage: make TARGET'
	@echo
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-12s%s\n", $$1, $$2 }'

setup: ## Build .venv from the pinned, hashed requirements (free when nothing changed)
	@$(PYTHON) scripts/environment.py setup

run: setup ## Work through the support desk's tickets; FRESH=1 starts over, MODEL=provider:name picks the model
	@PODIUM_FRESH_HINT='make run FRESH=1' $(PODIUM) run $(DESK)/desk.py:support --each $(DESK)/tickets.jsonl --id-field id \
		$(if $(FRESH),--fresh --fresh-also outbox.db) $(if $(MODEL),--model $(MODEL)) || [ $$? -eq 1 ] # 1: all was worked on, not all went well

test: lint ## Run lint, types, layer contracts and all the tests; ARGS= goes to pytest
	$(BIN)/pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

lint: setup ## Check style, format, types and layers, changing nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Rewrite the code in the one format, with the fixes that are safe
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: peers ## Measure beside peers and plain libraries doing the same work; BENCH= names some, see BENCH=--help
	$(BIN)/python -m benchmarks $(BENCH)

performance: peers ## Measure everything and write docs/performance.md
	$(BIN)/python -m benchmarks --page docs/performance.md

# Without them the rest is measured all the same.
peers: setup ## Build .venv-bench, with the engines that the benchmarks compare with (free when nothing changed)
	@$(PYTHON) scripts/environment.py peers || echo 'peers: could not be installed (the reason is above)' >&2

chaos: setup ## Break disks, processes and clocks under the engine; SEED= repeats, CHAOS= passes other options
	$(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) $(CHAOS)

docs: setup ## Write the pages under docs/ that are generated from the code
	@$(BIN)/python scripts/state_machines.py

snapshot: setup ## Record the public API as it is now; look at the difference before committing it
	$(BIN)/pytest --update-snapshots $(ARGS)

lock: setup ## Renew the lock files after a change of dependencies; UPGRADE=1 takes newer versions
	$(BIN)/python scripts/environment.py lock $(if $(UPGRADE),--upgrade)

clean: ## Remove .venv, .venv-bench and every cache (never a database)
	rm -rf .venv .venv-bench .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -not -path './node_modules/*' -prune -exec rm -rf {} +
