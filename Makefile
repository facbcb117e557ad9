# `make run` and `make test` need only python3, make and the package registries.

.PHONY: help run check test test-browser test-dynamodb-local lint contract pages pictures bench capacity clean

help:
	@echo "make run     start the emulator on http://127.0.0.1:8000 (PORT=8001 for another port; see parley up --help)"
	@echo "make check   format, lint, types, import rules and unit tests, in three minutes"
	@echo "make test    all that make check does, and every other test, in 15 minutes"
	@echo "make test-browser  the tests of the pages in Chromium (ARGS for pytest)"
	@echo "make test-dynamodb-local  what needs a database, on AWS's DynamoDB Local (needs java and npm)"
	@echo "make lint    ruff, mypy and import-linter"
	@echo "make pages   build the chat page and the console, which make run serves"
	@echo "make contract  write the machine-readable contract again (docs/*.json), after a change of frames or of the HTTP API"
	@echo "make pictures  make the pictures of README.md and docs again, in Chromium"
	@echo "make bench   benchmarks, printed as tables (BEFORE='v1.0 …' for commits to compare with)"
	@echo "make capacity  what connections need and cost on AWS (CONNECTIONS=10000 for your number of them)"
	@echo "make build   build the functions with the SAM CLI"
	@echo "make doctor  say what would keep a stage from being deployed (STAGE=dev)"
	@echo "make deploy  doctor, build, and deploy a stage (STAGE=dev PARAMETERS='OpenAiApiKey=ssm:/parley/openai …')"
	@echo "make smoke   have a conversation with a deployment (STAGE=dev or URL=wss://…, and TOKEN=…)"
	@echo "make remove  delete a stage's stack, and say what stays (STAGE=dev CONFIRM=parley-dev)"
	@echo "make clean   remove the environments and what was built"

run: .venv/up-to-date .venv/dynoxide pages
	@PARLEY_PYTHON="$${PARLEY_PYTHON:-.venv}" exec .venv/bin/parley up

# Tests start many processes: our modules are compiled once, even where the shell says that no bytecode is written.
export PYTHONDONTWRITEBYTECODE :=

# Workers take file by file (tests/support/scheduling.py), in the order of these folders: the long ones begin first.
# One worker more than two cores have: one has all files that wait for real time, and leaves the processor to the others.
PYTEST := .venv/bin/pytest
PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder

check: .venv/up-to-date .venv/dynoxide
	@$(call beside_lint,$(PYTEST) $(PARALLEL) -m "not full" tests/handlers tests/infra tests/local)

test: .venv/up-to-date .venv-sam/up-to-date .venv/dynoxide clients/node_modules/of-all pages
	@$(call beside_lint,$(PYTEST) $(PARALLEL) \
		tests/faults tests/chat tests/emulator tests/clients tests/browser tests/infra tests/handlers tests/local)

# ARGS is passed to pytest.
test-browser: .venv/up-to-date .venv/dynoxide clients/node_modules/of-all pages
	@$(PYTEST) -rs tests/browser $(ARGS)

# The documents that are generated from the code: docs/*.json. A test checks that they are up to date.
contract: .venv/up-to-date
	@.venv/bin/python -m infra.contract

# The pictures of README.md and docs: the browser tests make them.
pictures: .venv/up-to-date .venv/dynoxide clients/node_modules/of-all pages
	@mkdir -p docs/images
	@PARLEY_PICTURES=docs/images $(PYTEST) -rs tests/browser/test_pictures.py -k "not documentation"

# Without its cache mypy takes as long as a quarter of the unit tests, on one core. So lint runs beside the tests. What
# it says comes after them, if it has found something. Both must pass.
define beside_lint
said=$$(mktemp); $(MAKE) --no-print-directory lint >"$$said" 2>&1 & lint=$$!; \
	$(1); tests=$$?; \
	if wait $$lint; then echo "lint: passed"; else cat "$$said"; tests=1; fi; rm "$$said"; exit $$tests
endef

# ARGS is passed to pytest.
test-dynamodb-local: .venv/up-to-date .venv/dynoxide
	@.venv/bin/python -m tests.support.dynamodb_local $(ARGS)

lint: .venv/up-to-date
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: .venv/up-to-date .venv/dynoxide
	@BEFORE="$(BEFORE)" .venv/bin/python -m tests.benchmarks

# docs/scaling.md explains the tables.
capacity: .venv/up-to-date
	@.venv/bin/python -m infra.capacity $(CONNECTIONS:%=--connections %)

clean:
	rm -rf .venv .venv-sam .venv-node .uv clients/node_modules local/parley/pages .dynamodb-local .aws-sam .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# Use the installed uv. If there is none, install it with pip into .uv.
UV := $(or $(shell command -v uv),.uv/bin/uv)

.uv/bin/uv:
	@echo "Installing uv into .uv; only once."
	@python3 -m venv .uv
	@.uv/bin/pip install --quiet --disable-pip-version-check uv

# Compile the bytecode now, so that the first start is as fast as the later ones.
.venv/up-to-date: uv.lock pyproject.toml | $(UV)
	@echo "Installing what uv.lock names into .venv; only once."
	@UV_COMPILE_BYTECODE=1 $(UV) sync --frozen --quiet
	@touch $@

# The emulator's DynamoDB. It goes into your cache folder. Where it cannot be had, the emulator uses moto, and says so.
.venv/dynoxide: local/parley/dynamodb/dynoxide/npm/package-lock.json | .venv/up-to-date
	@echo "Installing Dynoxide, the emulator's DynamoDB; only once."
	@if PATH="$(abspath $(dir $(UV))):$$PATH" .venv/bin/parley install-dynamodb >/dev/null; \
	then touch $@; else echo "The emulator will use moto instead."; fi

.venv-sam/up-to-date: uv.lock | $(UV)
	@echo "Installing the SAM CLI into .venv-sam; only once."
	@UV_PROJECT_ENVIRONMENT=.venv-sam $(UV) sync --frozen --quiet --only-group sam
	@touch $@

# The pages that the emulator serves. Without Node 20 or newer, one of PyPI's is installed in an environment of its own.
# Where neither can be had, everything else works without the pages.
pages: local/parley/pages/console/index.html

PAGE_SOURCES = $(shell find clients/pages clients/javascript/src -type f)
local/parley/pages/console/index.html: clients/package-lock.json $(PAGE_SOURCES) | clients/node_modules/of-pages
	@if [ ! -e clients/node_modules/of-pages ] || ! (cd clients && $(WITH_NODE) npm run --silent build --workspace pages); \
	then echo "The pages are not built. They need Node 20 or newer: https://nodejs.org"; fi

WITH_NODE = $(if $(HAS_NODE),,UV_PROJECT_ENVIRONMENT=$(CURDIR)/.venv-node $(abspath $(UV)) run --frozen --quiet --only-group node)
HAS_NODE = $(shell node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null && npm --version)
NPM_CI = npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --silent \
	--fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-timeout=60000

# What the pages need, and what all of clients/ and its tests need. The second is more: where it is, it is kept.
clients/node_modules/of-pages: clients/package-lock.json | $(UV)
	@if [ -e clients/node_modules/of-all ]; then $(MAKE) --silent clients/node_modules/of-all && touch $@; else \
	echo "Installing what the pages are built with into clients/node_modules; only once."; \
	if (cd clients && $(WITH_NODE) $(NPM_CI) --workspace pages --workspace javascript --omit=dev); then touch $@; fi; fi

clients/node_modules/of-all: clients/package-lock.json | $(UV)
	@echo "Installing what clients/package-lock.json names into clients/node_modules; only once."
	@if (cd clients && $(WITH_NODE) $(NPM_CI)); then touch $@; fi

-include infra/build.mk
