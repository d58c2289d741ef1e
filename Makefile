# For a fresh machine: `make demo` trains, `make test` runs all tests, `make quick` those of two minutes. Each creates .venv first.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test quick lint notebook torture matrix bench bench-quick clean

demo: .venv/installed
	$(BIN)/python -m graph_resnet.train --dataset synthetic --steps 300 --train-dir runs/demo

test: .venv/installed-test lint
	$(PYTEST)

quick: .venv/installed-test lint
	$(PYTEST) -m "not slow"

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

torture: .venv/installed
	$(BIN)/python -m benchmarks.reliability.torture

# A fresh environment for each TensorFlow and Python version: takes hours, and 2 GB for one environment at a time.
matrix: .venv/installed
	$(BIN)/python -m benchmarks.reliability.matrix --tests

bench: .venv/installed-benchmarks
	$(BIN)/python -m benchmarks.speed.compare

bench-quick: .venv/installed-benchmarks
	$(BIN)/python -m benchmarks.speed.compare --quick

notebook: .venv/installed-notebook
	$(BIN)/jupyter notebook notebooks/resnet.ipynb

# One stamp file per set of packages: they are installed again only when setup.py changes.
.venv/installed: setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/installed-%: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
