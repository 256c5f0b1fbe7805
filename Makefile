# Multiplane. `make` alone lists what one can do.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Hundreds of processes start in the tests: none of them is to compile the program anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo run test lint style bench soak wheel lock clean

help: ## List what one can do
	@echo "Multiplane: a hot folder that turns photos into depth-ordered transparent layers."
	@echo
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: $(READY) ## Install everything into .venv (about 2 minutes and 3 GB the first time)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Multiplane needs Python 3.11 or newer; {sys.executable} is {v.major}.{v.minor}. Try: make setup PYTHON=python3.12")'
	@echo "Setting up in $(VENV); this takes about 2 minutes and happens only once."
	@echo "  1/3  a virtual environment"
	@$(PYTHON) -m venv $(VENV)
	@echo "  2/3  the libraries, PyTorch among them (the largest, 200 MB): $$(grep -c == requirements.lock) packages"
	@$(BIN)/python -m pip install -qq --requirement requirements.lock
	@echo "  3/3  Multiplane itself"
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $(READY)
	@echo "Ready: $(BIN)/multiplane"

# MODEL=none leaves out the depth model, which is fetched if there is none. A misspelt value must not fetch it.
WITHOUT_MODEL = $(if $(filter none,$(MODEL)),--no-model,$(if $(filter command,$(origin MODEL)),$(error MODEL can only be none)))

demo: $(READY) ## Turn two real photos into layers and say where they are (MODEL=none: fetch no depth model)
	@$(BIN)/python -P tests/demo.py $(WITHOUT_MODEL)

run: $(READY) ## Run the hot folder here in the foreground; Ctrl-C stops it (MODEL=none: fetch no depth model)
	@$(BIN)/multiplane run $(WITHOUT_MODEL)

# Four processes on two cores, since half of their time is waiting; so no library's threads may wait by spinning. mypy, which
# needs one core for a while, works beside them and has the last word.
test: export OMP_WAIT_POLICY := passive
test: $(READY) style ## Check the code and run all tests
	@$(BIN)/python -m compileall -q daemon pipeline
	@said=$$(mktemp); $(BIN)/mypy >$$said 2>&1 & types=$$!; failed=0; \
	$(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder $(OPTIONS) || failed=$$?; \
	wait $$types || failed=$$?; cat $$said; rm $$said; exit $$failed

lint: $(READY) style ## Format, lint, types, import rules
	$(BIN)/mypy

style: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

bench: $(READY) ## Measure, and print a table
	@$(BIN)/python -m tests.benchmarks

soak: $(READY) ## Storms of kills, seeded mutations, the suite on other machines (three hours)
	@$(BIN)/python -m tests.crash.soak
	@SOAK_TESTS=1 $(BIN)/python -m pytest -q tests/process/test_painting_programs.py tests/acceptance/test_paintings.py \
	  tests/acceptance/intake/test_written_in_parts.py tests/security/test_exchanged_folders.py \
	  tests/security/test_exchanged_job_folders.py tests/security/test_outbox_paths.py \
	  tests/acceptance/scenes/test_scenes_rendered.py tests/acceptance/scenes/test_usd_rules.py \
	  tests/acceptance/moving/test_moving_in_browser.py tests/unit/export/test_moving_frames.py
	@$(BIN)/python -m tests.process.supervisor.random_kills
	@$(BIN)/python -m tests.process.supervisor.cancels
	@$(BIN)/python -m tests.process.supervisor.templates.many_jobs
	@SOAK_TESTS=1 $(BIN)/python -m pytest -q tests/process/cluster
	@$(BIN)/python -m tests.process.cluster.storm
	@$(BIN)/python -m tests.acceptance.terminal.fresh_clone
	@$(BIN)/python -m tests.surroundings

# What an earlier build left would go into this one.
wheel: $(READY) ## Build a package that pipx installs, in build/
	@rm -rf build
	@$(BIN)/python -m pip wheel -qq --no-deps --no-build-isolation --wheel-dir build .
	@ls build/*.whl

# The machines for which PyPI has usd-core and pylibjxl; `pip freeze` forgets that.
WHEELS := python_version < '3.15' and (sys_platform == 'darwin' or platform_machine == 'x86_64')
lock: ## Write requirements.lock anew from pyproject.toml
	@folder=$$(mktemp -d) && $(PYTHON) -m venv $$folder/venv \
	&& $$folder/venv/bin/python -m pip install --quiet '.[cluster,dev]' 'setuptools>=77' \
	&& { sed -n '/^#/p' requirements.lock; $$folder/venv/bin/python -m pip freeze --all --exclude multiplane --exclude pip \
	  | sed -e 's/+cpu$$//' -e "s/^usd-core==.*/&; $(WHEELS)/" -e "s/^pylibjxl==.*/&; $(WHEELS)/"; } > $$folder/lock && mv $$folder/lock requirements.lock && rm -r $$folder

clean: ## Remove what the set-up and the tools made; inbox, outbox and .state stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
