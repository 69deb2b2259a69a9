# Commands on a fresh machine:
#   make crystals   installs into .venv if need be and draws 16 crystals into the folder crystals
#   make test       installs into .venv if need be and runs all checks and tests
#   make docs       builds the documentation site into site, without a network
#   make notebooks  runs the tutorials and stores their outputs
#   make fuzz       13,750 inputs of every kind: 3 minutes of one free core, half an hour of a busy machine
# VENV=path takes or makes another environment, PYTHON=python3.12 another interpreter.
VENV ?= .venv
PYTHON ?= python3
N ?= 16
BIN := $(VENV)/bin

.PHONY: crystals test check docs notebooks fuzz smoke clean

crystals: $(VENV)/.installed
	$(BIN)/crysdiff sample miad -n $(N) -o crystals

test: $(VENV)/.installed-dev check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

notebooks: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python tools/site/run_notebooks.py

# Thousands of inputs of every kind to what users call; `make test` tries a few of them.
fuzz: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -o addopts= tests/fuzz --hypothesis-profile=fuzz

# The wheel as a user gets it: built, installed into an empty environment, used away from this folder.
smoke: $(VENV)/.installed-dev
	rm -rf dist .venv-smoke
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv .venv-smoke
	.venv-smoke/bin/pip install -q -c constraints.txt dist/*.whl
	cd .venv-smoke && bin/python ../tests/smoke.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install -c constraints.txt -e '.[dev,docs,metrics,benchmark,distributed,genetic,workflows]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf dist build site .venv-smoke crystals runs
