# What a person or CI does with this checkout. Needs make, Python 3.11 or newer, and a package index.
# Everything is installed into .venv, each package checked against a hash: tools/bootstrap.py.

# Another Python: make PYTHON=python3.12 test
PYTHON ?= $(if $(shell command -v python3 2>/dev/null),python3,python3.11)
# More words for the program that is started: make run ARGS="--config router.toml"
ARGS ?=
# make lock UPGRADE=--upgrade moves every pin to the newest that fits; without it pins stay.
UPGRADE ?=

BIN := .venv/bin
BOOTSTRAP := $(PYTHON) tools/bootstrap.py
PIN := $(BIN)/uv pip compile --universal --python-version 3.11 \
	--generate-hashes --no-annotate --custom-compile-command 'make lock' --quiet $(UPGRADE)
COMPILE := $(PIN) pyproject.toml --group build
# What `make bench-peers` installs, each into a folder of its own.
PEERS := bench/peer_locks

# One environment, and steps that build on each other: `make -j` gains nothing.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test check run lock bench bench-peers format clean

define checks
$(BIN)/python -m ruff check .
$(BIN)/python -m ruff format --check .
$(BIN)/python -m mypy
$(BIN)/python $(BIN)/lint-imports
endef

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

demo: ## see it work, with simulated providers: no key, no cost
	@$(BOOTSTRAP) requirements-daemon.lock
	@$(BIN)/python tools/demo.py $(ARGS)

# A file to each core, because tests of one file share what they set up; then what wants the machine to
# itself. Of what ARGS names all may be of one kind: 5 says that nothing was there to be run.
test: ## run every check and every test
	@$(PYTHON) tools/system_packages.py
	@$(BOOTSTRAP) requirements-vendors.lock
	$(checks)
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not alone" $(ARGS) || test $$? -eq 5
	$(BIN)/python -m pytest -m alone $(ARGS) || test $$? -eq 5

check: ## lint, format, types and layers, without running a test
	@$(BOOTSTRAP) requirements-dev.lock
	$(checks)

run: ## start the daemon, with ARGS="..."
	@$(BOOTSTRAP) requirements-daemon.lock
	@$(BIN)/routerd serve $(ARGS)

# The largest lock first: the others take their versions from it.
lock: ## write the lock files anew, UPGRADE=--upgrade moves the pins
	@$(BOOTSTRAP) requirements-dev.lock
	$(COMPILE) --extra dev --extra vendors -o requirements-vendors.lock
	$(COMPILE) --extra dev -c requirements-vendors.lock -o requirements-dev.lock
	$(COMPILE) --extra daemon -c requirements-vendors.lock -o requirements-daemon.lock
	$(PIN) $(PEERS)/litellm.in -o $(PEERS)/litellm.lock
	$(PIN) $(PEERS)/tensorzero.in -o $(PEERS)/tensorzero.lock
	cd $(PEERS)/portkey && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts

bench: ## measure, with ARGS="..."
	@$(BOOTSTRAP) requirements-vendors.lock
	@$(BIN)/python bench/run.py $(ARGS)

bench-peers: ## measure other routers too, installed into .peers, with ARGS="..."
	@$(BOOTSTRAP) requirements-vendors.lock
	@$(BIN)/python bench/install_peers.py
	@$(BIN)/python bench/run.py --peers $(ARGS)

format: ## put the source in the one format, and mend what a tool can mend
	@$(BOOTSTRAP) requirements-dev.lock
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

clean: ## remove the environment and everything that was made
	rm -rf .venv .peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
