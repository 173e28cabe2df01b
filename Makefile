# Everything a fresh machine needs is Python 3.11+ and make; the network is used by `make setup` alone, for packages.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
WORKERS ?= 2

.PHONY: help setup demo dev test check bench clean

help:  ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(STAMP)  ## make .venv from uv.lock (with uv when present, else venv and pip)

$(STAMP): pyproject.toml uv.lock
	@if command -v uv >/dev/null 2>&1; then \
	    uv sync --frozen --quiet; \
	else \
	    $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])' && \
	    $(PYTHON) -m venv $(VENV) && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check uv && \
	    VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv sync --frozen --quiet --inexact --active --python $(BIN)/python; \
	fi
	@touch $@

demo: setup  ## run the main job on a sample world, and compare with its truth
	@$(BIN)/torus demo

dev: setup  ## start the Dagster UI and daemon on the same home
	@$(BIN)/torus dev

test: setup  ## run the tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests --ignore tests/live --ignore tests/browser/test_ui.py
	@$(BIN)/python -m pytest tests/live tests/browser/test_ui.py

check: setup  ## ruff, types, and that the definitions load
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright --level error
	@DAGSTER_HOME= $(BIN)/dagster definitions validate -w workspace.yaml

bench: setup  ## the speed figures, against the plain way of doing it
	@for b in ingest spark engine_parity csv_export one_section datashop_xml warehouse_load latency memory dataset_memory arrivals; do echo "== $$b"; $(BIN)/python -m benchmarks.$$b || exit 1; done

clean:  ## remove the virtual environment and what the demo made
	rm -rf $(VENV) .torus
