# `make demo` and `make test` need nothing but Python 3.11: each makes .venv and installs what it uses into it.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := runs/demo

.PHONY: demo test
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	$(BIN)/python -m quantize.qat --out $(DEMO)
	set -e; for kind in ptq qat; do \
	  $(BIN)/python -m edge.export --program $(DEMO)/$$kind --out $(DEMO)/$$kind/dist; \
	  artefact=$(DEMO)/$$kind/dist/distilpose_s-executorch-int8.pte; \
	  $(BIN)/python -m edge.check --artefact $$artefact --limit 200 --threads 2 --json $(DEMO)/$$kind/check.json; \
	  $(BIN)/python -m edge.bench --artefact $$artefact --threads 2 --json $(DEMO)/$$kind/bench.json; \
	done
	$(BIN)/python -m edge.demo --run $(DEMO)

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
