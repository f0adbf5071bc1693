# `make demo` and `make test` need nothing but Python 3.11: each makes .venv and installs what it uses into it.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := runs/demo
INT8 := dist/distilpose_s-executorch-int8.pte

.PHONY: demo demo-ptq demo-qat test
.DELETE_ON_ERROR:

# Fine-tunes distilpose_s under fake quantization against tokenpose_s on drawn people, for a minute or two: all int8 but for
# the head and the last linear before it. Then both int8 programs, the calibrated one and the fine-tuned one, go to ExecuTorch
# and are scored, side by side on one core each, and the fine-tuned one is timed in turns with the float student.
demo: $(INSTALLED)
	rm -rf $(DEMO)
	$(BIN)/python -m quantize.qat --people 64 --epochs 1 --calibration 64 --keep-float readout.down \
		--out $(DEMO)/qat
	mv $(DEMO)/qat/ptq $(DEMO)/ptq
	OMP_NUM_THREADS=1 $(MAKE) --no-print-directory --jobs=2 --output-sync=target demo-ptq demo-qat
	$(BIN)/python -m edge.bench --artefact $(DEMO)/qat/$(INT8) --json $(DEMO)/qat/bench.json
	$(BIN)/python -m edge.demo --run $(DEMO)

demo-ptq demo-qat: demo-%:
	$(BIN)/python -m edge.export --program $(DEMO)/$* --out $(DEMO)/$*/dist
	$(BIN)/python -m edge.check --artefact $(DEMO)/$*/$(INT8) --limit 100 --json $(DEMO)/$*/check.json

test: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadgroup

$(INSTALLED): pyproject.toml
	@echo "Installing into .venv; a few minutes the first time ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[all,dev]'
	touch $@
