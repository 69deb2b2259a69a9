# Commands on a fresh machine:
#   make crystals   installs into .venv if need be and draws 16 crystals into the folder crystals
#   make test       installs into .venv if need be and runs all checks and tests
#   make docs       builds the documentation site into site, without a network
#   make notebooks  runs the tutorials and stores their outputs
#   make compat     a few tests in fresh environments with the oldest and the newest versions; TESTS=tests for all
#   make fuzz       13,750 inputs of every kind: 3 minutes of one free core, half an hour of a busy machine
# VENV=path takes or makes another environment, PYTHON=python3.12 another interpreter.
VENV ?= .venv
PYTHON ?= python3
N ?= 16
BIN := $(VENV)/bin

# Most of what is installed is never imported: bytecode is made of what is, once, when it is.
# The tests start hundreds of processes, which read that of the first.
INSTALL := pip install --no-compile -c constraints.txt
unexport PYTHONDONTWRITEBYTECODE

# What tests need; the extra benchmark asks for a newer pymatgen than the oldest that the package takes.
EXTRAS := dev,docs,metrics,distributed,genetic,workflows,completion,molecules
NEWER := benchmark

.PHONY: crystals test check suite docs notebooks fuzz smoke compat clean

crystals: $(VENV)/.installed
	$(BIN)/crysdiff sample miad -n $(N) -o crystals

test: check suite

suite: $(VENV)/.installed-dev
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
smoke:
	rm -rf dist .venv-smoke
	$(PYTHON) -m venv .venv-smoke
	.venv-smoke/bin/pip wheel -q --no-deps --wheel-dir dist .
	.venv-smoke/bin/$(INSTALL) -q dist/*.whl
	cd .venv-smoke && bin/python ../tests/smoke.py

# The oldest and the newest versions that pyproject allows, each in an environment of its own, with the
# tests of TESTS: VERSIONS=oldest PYTHON=python3.11 TESTS=tests.
VERSIONS ?= oldest newest
TESTS ?= tests/test_imports.py tests/ase_crysdiff/geometry tests/ase_crysdiff/crystal tests/pymatgen_ext/test_sampling.py
compat:
	for versions in $(VERSIONS); do \
	  rm -rf .venv-$$versions && $(PYTHON) -m venv .venv-$$versions && \
	  .venv-$$versions/bin/python tools/bounds.py $$versions > .venv-$$versions/bounds.txt && \
	  .venv-$$versions/bin/pip install -q -c .venv-$$versions/bounds.txt -e '.[$(EXTRAS)]' && \
	  OMP_NUM_THREADS=1 .venv-$$versions/bin/python -m pytest -q $(TESTS) || exit 1; \
	done

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/$(INSTALL) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/$(INSTALL) -e '.[$(EXTRAS),$(NEWER)]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf dist build site .venv-smoke .venv-oldest .venv-newest crystals runs
