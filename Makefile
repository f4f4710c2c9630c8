# One command each, from nothing: `make demo`, `make test`. Both set up what they need first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := .make
# What the tests run against beside what pip brings: real brokers, gateways and databases, a disk that fails, a clock
# that steps.
TEST_PACKAGES := mosquitto kannel kannel-extras postgresql strace faketime
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: help demo test quick bench lint fix messages clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(STAMP)/run ## the whole system on this machine, simulated field included: 1,099 speakers hear an alert
	$(BIN)/tocsin demo $(ARGS)

test: $(STAMP)/dev $(STAMP)/system ## every test, against real brokers, gateways, ptys and databases
	$(BIN)/python -m pytest $(ARGS)

quick: $(STAMP)/dev $(STAMP)/system ## the tests without the slow ones
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

bench: $(STAMP)/dev $(STAMP)/system ## speed against the limit measured in the same run; prints JSON lines
	$(BIN)/tocsin bench $(ARGS)

lint: $(STAMP)/dev ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(STAMP)/dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

messages: $(STAMP)/dev ## sentences that have no Chinese yet
	$(BIN)/python -m tests.messages

clean: ## remove what make has built
	rm -rf $(VENV) $(STAMP) dist

# A venv needs ensurepip, which Debian keeps in a package of its own.
$(VENV)/bin/python:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed." >&2; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "Installing python3-venv by apt ..."; \
		$(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq python3-venv >/dev/null; }
	python3 -m venv $(VENV)

$(STAMP)/run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[voice]'
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[voice,dev]'
	@mkdir -p $(STAMP) && touch $@ $(STAMP)/run

# Installed only if missing; a server that apt starts is of no use to us and is left alone.
$(STAMP)/system: Makefile
	@missing=""; \
	command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing="$$missing mosquitto"; \
	[ -x /usr/sbin/bearerbox ] || missing="$$missing kannel"; \
	[ -n "$$(find /usr/lib/kannel -name fakesmsc 2>/dev/null)" ] || missing="$$missing kannel-extras"; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	[ -n "$$(find /usr/lib -name libfaketimeMT.so.1 2>/dev/null)" ] || missing="$$missing faketime"; \
	[ -n "$$(find /usr/lib/postgresql -name initdb 2>/dev/null)" ] || missing="$$missing postgresql"; \
	if [ -n "$$missing" ]; then echo "Installing by apt:$$missing"; \
		$(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq $$missing >/dev/null; fi
	@mkdir -p $(STAMP) && touch $@
