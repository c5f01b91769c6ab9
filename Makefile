# The commands of this project. `make` alone lists them.

PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
INSTALLED := .venv/installed
REQUIREMENTS := $(wildcard requirements-*.txt)

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup demo up down status logs clean test lint format audit bench faults update-check soak model-card

# TORCH_INDEX is remembered in the stamp: leaving it out later keeps what is installed.
ifneq ($(TORCH_INDEX),)
ifneq ($(TORCH_INDEX),$(shell cat $(INSTALLED) 2>/dev/null))
.PHONY: $(INSTALLED)
endif
endif

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED) ## make .venv and install everything; TORCH_INDEX=url picks PyTorch's CPU or CUDA wheels

$(INSTALLED): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d: make setup PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)' >&2
	@echo 'Installing into .venv; the first time this takes a few minutes ...' >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv >&2
	@test -z '$(TORCH_INDEX)' || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--force-reinstall --index-url '$(TORCH_INDEX)' \
		$$(grep -oE '^(torch|torchvision)==[^ #]+' requirements-worker.txt) >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt >&2
	@test -z '$(TORCH_INDEX)' && touch $@ || echo '$(TORCH_INDEX)' > $@

demo: setup ## scans from upload to report, in a stack of its own; SCANS=folder analyses your slices
	@exec $(BIN)/python -m stack demo

up: setup ## start everything in the background; PORT=, FLOWER_PORT= choose the ports
	@exec $(BIN)/python -m stack up

down: setup ## stop what `up` started; the data stays
	@exec $(BIN)/python -m stack down

status: setup ## the processes, as JSON
	@exec $(BIN)/python -m stack status

logs: setup ## follow all logs
	@exec $(BIN)/python -m stack logs

clean: ## stop everything, remove all data and results of the demo
	@test ! -x $(BIN)/python || $(BIN)/python -m stack clean
	@rm -rf .local demo-output .artifacts

test: setup ## run all tests, real Postgres and Redis included; TESTS="words" picks some
	@exec $(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder $(TESTS)

lint: setup ## check style, types, import contracts, dangerous calls and committed secrets
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m ruff format --check
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports
	@$(BIN)/bandit --quiet --severity-level medium --configfile pyproject.toml --recursive \
		api shared worker stack bench client/brain_scans
	@cp .secrets.baseline .venv/secrets.baseline
	@$(BIN)/detect-secrets-hook --no-verify --baseline .venv/secrets.baseline $$(git ls-files) \
		|| test $$? -eq 3 # 3: a known line has moved

audit: setup ## look for dependencies with known holes; asks a public database, so it needs the net
	@for file in api worker; do $(BIN)/pip-audit --requirement requirements-$$file.txt || exit 1; done

format: setup ## rewrite the code in the project's style
	@$(BIN)/python -m ruff check --fix --quiet || true
	@$(BIN)/python -m ruff format

bench: setup .venv/peers ## measure this beside the bare model and a peer; BENCH="words" picks parts
	@exec $(BIN)/python -m bench $(BENCH)

# What is only compared with lies apart, without its dependencies, so that no pin of the product moves.
.venv/peers: bench/requirements.txt
	@rm -rf $@
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $@ -r $< >&2
	@touch $@

soak: setup ## mixed work for MINUTES=10 on a stack of its own; fails if something grows or a 5xx appears
	@exec $(BIN)/python -m bench.soak --minutes $(or $(MINUTES),10)

faults: setup ## break what can break while scans are analysed; FAULTS="words" picks some
	@exec $(BIN)/python -m tests.faults $(FAULTS)

update-check: setup ## replace the version before the newest migration process by process, while scans run
	@exec $(BIN)/python -m pytest tests/faults/rolling_update.py

model-card: setup ## write model_weights/MODEL_CARD.md and its charts from manifest.json and metrics.json
	@exec $(BIN)/python -m worker.training.model_card
