# Corral. `make` alone lists what there is; README.md says what the first two cost.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help serve test check fix bench bench-admission bench-engine bench-audit peers prove screenshots fuzz lock clean install-dev install-test lint style types contracts reference quick quick-gateway quick-stores quick-unit quick-flow quick-listeners

# The first Python that is new enough; name another with `make PYTHON=...`.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
UV_LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock' $(UPGRADE)

define need_python
@test -n "$(PYTHON)" || { echo "corral set-up: Python 3.11 or newer is needed (apt install python3 python3-venv)" >&2; exit 2; }
endef

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|'

serve:  ## install what is missing, then serve the small model on https://127.0.0.1:8443; ENGINE=cpu|cuda|rocm|vulkan
	$(need_python)
	@$(PYTHON) -m setup.install engine --model --engine '$(ENGINE)'
	@exec $(BIN)/python -m setup.serve

test: install-test lint  ## everything CI runs, from a clean checkout
	$(BIN)/python -m pytest tests

check: install-dev  ## the part of it that takes less than a minute
	@$(MAKE) --no-print-directory --output-sync -j 6 lint quick

install-dev:
	$(need_python)
	@$(PYTHON) -m setup.install dev --model

install-test:
	$(need_python)
	@$(PYTHON) -m setup.install dev --model --sslyze --system-packages

lint: style types contracts reference

style:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports

reference:
	$(BIN)/python -m gateway.configuration.config_reference --check
	$(BIN)/python -m gateway.authorization_reference --check

# In parts, so that both cores are busy; what waits for sockets most stands alone. Few examples of each property.
QUICK := $(BIN)/python -m pytest -q -p no:cacheprovider --hypothesis-profile quick -m 'not slow'
LISTENER_TESTS := $(wildcard tests/flow/test_listener*.py)
STORE_TESTS := $(addprefix tests/unit/gateway/,audit cli limits keys)
quick: quick-gateway quick-stores quick-unit quick-flow quick-listeners

quick-gateway:
	$(QUICK) tests/unit/gateway $(STORE_TESTS:%=--ignore=%)

quick-stores:
	$(QUICK) $(STORE_TESTS)

quick-unit:
	$(QUICK) tests/unit --ignore=tests/unit/gateway

quick-flow:
	$(QUICK) tests/flow $(LISTENER_TESTS:%=--ignore=%)

quick-listeners:
	$(QUICK) $(LISTENER_TESTS)

fix: install-dev  ## what can be put right by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m gateway.configuration.config_reference
	$(BIN)/python -m gateway.authorization_reference

bench: install-dev  ## tokens per second, time to first token, and what each step of a request costs, measured here
	$(BIN)/python -m bench.steps
	$(BIN)/python -m bench.streams

bench-admission: install-dev  ## the queue beside five others under simulated load, with every bound; three to five minutes
	$(BIN)/python -m bench.admission

peers: install-dev  ## llama-server and llama-batched-bench, to be measured beside; about five minutes, once
	$(BIN)/python -m bench.peers

bench-engine: install-dev  ## the engine beside raw C, llama-server and others (make peers first), at most 25 minutes
	$(BIN)/python -m bench.engine

bench-audit: install-dev  ## how fast the log is verified, and what it adds to a request beside a lone commit; two minutes
	$(BIN)/python -m bench.prove audit_verify audit_latency

prove: install-test  ## every heavy proof in full size, or one: make prove P=NAME
	$(BIN)/python -m bench.prove $(P)

screenshots: install-test  ## a picture of each page of the console in build/screenshots: light, dark, 360 px, Chinese
	$(BIN)/python -m tests.browser.screenshots

fuzz: install-dev  ## parsers against random input, S seconds each (60)
	$(BIN)/python -m fuzz --seconds $(or $(S),60)

lock: install-dev  ## the lock files from pyproject.toml; UPGRADE=--upgrade takes newer versions
	$(UV_LOCK) --group build -o lock/build.txt
	$(UV_LOCK) --extra engine pyproject.toml -o lock/engine.txt
	$(UV_LOCK) --extra engine --extra dev -c lock/engine.txt pyproject.toml -o lock/dev.txt
	$(UV_LOCK) --no-deps --group model -o lock/model.txt
	$(UV_LOCK) --group sslyze -o lock/sslyze.txt
	$(UV_LOCK) --group peers -c lock/dev.txt -o lock/peers.txt

clean:  ## what set-up and the tests made; never the home with its keys and its log
	rm -rf .venv .corral-cache corral.egg-info build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
