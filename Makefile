# Everything runs in .venv, which the first target that needs it creates.
PYTHON ?= python3
BIN := .venv/bin
DEMO := demo

.PHONY: demo test torture bad-inputs readme lint format clean

demo: .venv/installed  ## the four commands on the digits that come with scikit-learn; no network needed
	$(BIN)/evacli lr-find --dataset digits --batch-size 32 --run $(DEMO)
	$(BIN)/evacli train --epochs 5 --run $(DEMO)
	$(BIN)/evacli gradcam --n 25 --run $(DEMO)
	$(BIN)/evacli report --run $(DEMO)
	@echo "Open $(DEMO)/report.html"

test: .venv/installed  ## all tests, warnings as errors, two at a time
	$(BIN)/pytest -n 2 --dist loadfile

torture: .venv/installed  ## kills trainings at random moments, 300 times, and counts what is lost; a quarter of an hour
	$(BIN)/python tests/torture.py

bad-inputs: .venv/installed  ## renews the list of bad inputs with what evacli answers to each
	$(BIN)/python tests/bad_inputs.py

readme: .venv/installed  ## renews the help texts in the README
	$(BIN)/cog -r README.md

lint: .venv/installed  ## style, format, types, and that imports go downward
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

format: .venv/installed
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

clean:
	rm -rf .venv $(DEMO) .mypy_cache .ruff_cache .pytest_cache .hypothesis
