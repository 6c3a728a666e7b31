# Every verb sets up what it needs. PYTHON chooses the interpreter that .venv is made from.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := probewatch.py probing probes_store training service bench

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-full serve test check bench bench-quick bench-long docs builtin clean

help: ## List these verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

setup: .venv/ready ## Make .venv with everything in it, and the probewatch command
	@echo "ready: $(BIN)/probewatch --help"

demo: .venv/ready ## Train a probe, serve the bundled model under it, and watch
	$(BIN)/probewatch demo

demo-full: .venv/ready ## The same with 1,000 requests each, for the figures
	$(BIN)/probewatch demo --requests 1000

serve: .venv/ready ## Serve the bundled model with the champion probe on loopback
	$(BIN)/probewatch serve

test: .venv/ready ## Run every test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: .venv/ready ## Lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: .venv/ready ## Benchmarks, 20 minutes at most, into var/bench/results.json
	$(BIN)/python -m bench

bench-quick: .venv/ready ## The same with few rounds, in 2 minutes
	$(BIN)/python -m bench --quick

bench-long: .venv/ready ## Fitting, and the memory of collecting: as long again, into var/bench/long.json
	$(BIN)/python -m bench --family fitting --family collecting_memory --out var/bench/long.json

docs: .venv/ready ## Write the pages that are generated from the code
	$(BIN)/probewatch settings --markdown > docs/settings.md
	$(BIN)/probewatch settings --metrics > docs/metrics.md

builtin: .venv/ready ## Make the built-in probe anew, its card with the last demo's live figures
	sed -n '/^## Learning curve/,/^## How/{/^## How/d;p}' probing/models/magpie/README.md \
	  | cat var/demo/figures.md - > var/notes.md
	rm -rf probes_store/builtin
	$(BIN)/probewatch train --name magpie-petty --store probes_store/builtin --promote \
	  --notes var/notes.md

clean: ## Remove .venv and var
	rm -rf .venv var
