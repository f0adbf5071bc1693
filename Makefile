# `make demo` and `make test` need nothing but Python 3.11: each makes .venv and installs what it uses into it.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := runs/demo

.PHONY: demo test
.DELETE_ON_ERROR:

# Fine-tunes distilpose_s under fake quantization against tokenpose_s on drawn people, for a minute or two; then both int8
# programs, the calibrated one and the fine-tuned one, go to ExecuTorch and are scored and timed beside the float student.
demo: $(INSTALLED)
	rm -rf $(DEMO)
	$(BIN)/python -m quantize.qat --people 192 --epochs 1 --calibration 64 --out $(DEMO)/qat
	mv $(DEMO)/qat/ptq $(DEMO)/ptq
	for kind in ptq qat; do set -e; \
		$(BIN)/python -m edge.export --program $(DEMO)/$$kind --out $(DEMO)/$$kind/dist; \
		artefact=$(DEMO)/$$kind/dist/distilpose_s-executorch-int8.pte; \
		$(BIN)/python -m edge.check --artefact $$artefact --threads 2 --json $(DEMO)/$$kind/check.json; \
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
