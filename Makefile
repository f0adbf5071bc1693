# `make demo` and `make test` need nothing but Python 3.11, 3.12 or 3.13: each makes .venv and installs what it uses into it.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null && echo $$python && break; done)
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
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadgroup --no-loadscope-reorder

# A .venv that holds a torch of the pinned version already, such as a CPU build, keeps it: pip installs only what is missing.
$(INSTALLED): pyproject.toml
	@echo "Installing into .venv: about five minutes and 6.6 GB of disk, of which 4.6 GB are the CUDA build of torch."
	@echo "README.md, section Installation, says how to start from a CPU build of torch and save about 4 GB."
	$(if $(PYTHON),$(PYTHON),$(error no Python 3.11, 3.12 or 3.13 on the PATH; install one, or name it: make PYTHON=...)) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[all,dev]'
	touch $@
