# Everything here needs Python 3.11 or newer and make; the virtual environment is made on first use.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint bench kills soak mutants clean

# The main job on generated prices, over real HTTP on loopback: no network, no keys.
demo: $(VENV)/installed
	$(BIN)/histq demo

test: $(VENV)/installed-dev
	$(BIN)/pytest

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed-bench
	$(BIN)/python -m bench
	$(BIN)/python -m bench.rivals
	$(BIN)/python -m bench.leases
	$(BIN)/python -m bench.contention
	$(BIN)/python -m bench.processes
	$(BIN)/python -m bench.history
	$(BIN)/python -m bench.web
	$(BIN)/python -m bench.archive

# Two hundred processes die at random moments; then every candle is counted.
kills: $(VENV)/installed
	$(BIN)/python -m bench.kills

# The daemon for an hour under faults and death.
soak: $(VENV)/installed-dev
	$(BIN)/python -m bench.soak

# Breaks one promise at a time in a copy of the program: the tests must notice every one.
mutants: $(VENV)/installed-dev
	$(BIN)/python -m tests.mutants

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/installed

$(VENV)/installed-bench: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[bench]'
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f histq-demo.db histq-demo.db-*
