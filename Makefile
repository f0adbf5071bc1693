# `make demo` and `make test` need nothing but Python 3.11: each makes .venv and installs what it uses into it.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := runs/demo/ptq
ARTEFACT := $(DEMO)/dist/distilpose_edge-executorch-int8.pte

.PHONY: demo test
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	$(BIN)/python -m edge.export --out $(DEMO)/dist
	$(BIN)/python -m edge.check --artefact $(ARTEFACT) --threads 2 --json $(DEMO)/check.json
	$(BIN)/python -m edge.bench --artefact $(ARTEFACT) --threads 2 --json $(DEMO)/bench.json
	$(BIN)/python -m edge.demo --run runs/demo

test: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

$(INSTALLED): pyproject.toml
	@echo "Installing into .venv; a few minutes the first time ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[all,dev]'
	touch $@
