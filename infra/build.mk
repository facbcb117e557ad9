# Builds the bundles of the functions. The template says `BuildMethod: makefile`, so `sam build` runs
# `make build-<logical id>` for each function, in the root of the repository, with ARTIFACTS_DIR set.

.PHONY: build bundles deploy remove doctor smoke

SAM = SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam
# A config environment of the SAM CLI: `make deploy STAGE=prod`.
STAGE = dev
SAM_CONFIG_FILE = infra/samconfig.toml
OPERATE = --stage $(STAGE) --config-file $(SAM_CONFIG_FILE)

build: .venv-sam/up-to-date bundles
	$(SAM) build --config-file $(abspath $(SAM_CONFIG_FILE)) --config-env $(STAGE) --template-file infra/template.yaml
	@cat $(KINDS:%=$(BUNDLES)/%.built)

# PARAMETERS='Name=value …' sets parameters of the template; ARGS=--guided asks for them. NO_BUILD=1 deploys the last build.
deploy: .venv/up-to-date .venv-sam/up-to-date
	@.venv/bin/parley doctor $(OPERATE) $(if $(findstring --guided,$(ARGS)),--guided)
	@$(if $(NO_BUILD),:,$(MAKE) --no-print-directory build)
	@.venv/bin/parley deploy $(OPERATE) -- $(ARGS)

remove: .venv/up-to-date .venv-sam/up-to-date
	@.venv/bin/parley remove $(OPERATE) --confirm "$(CONFIRM)"

doctor: .venv/up-to-date
	@.venv/bin/parley doctor $(OPERATE)

# URL=wss://… TOKEN=…, or STAGE=dev TOKEN=…
smoke: .venv/up-to-date
	@PARLEY_TOKEN="$${TOKEN:-$$PARLEY_TOKEN}" .venv/bin/parley smoke $(if $(URL),--url "$(URL)",$(OPERATE))

# Must be the same as Runtime and Architectures in the template. The build does not need that processor.
LAMBDA_PYTHON = 3.13
LAMBDA_PLATFORM = aarch64-manylinux2014

# AGENTS=agents: the dependency groups with what own agents import (docs/assistants.md). Without it none is deployed. Then
# the worker's bundle is larger, and its packages stay whole: a framework may use parts of them that our code does not.
AGENTS =
WHOLE_generate = $(if $(AGENTS),whole)

# The kinds of bundles: the dependency groups of each, what it lacks of handlers, and the size below which its archive must
# stay, in MB.
KINDS = functions generate clients
GROUPS_functions = functions
GROUPS_generate = functions generate $(AGENTS)
GROUPS_clients = functions identity api
# The folders of handlers that the import rules (pyproject.toml) close to the functions of a kind.
WITHOUT_functions = handlers/http handlers/chat/replies
WITHOUT_generate = handlers/http
WITHOUT_clients = handlers/chat/replies
# The documents that a function serves.
DOCUMENTS_clients = docs/asyncapi.json
MEGABYTES_functions = 7
MEGABYTES_generate = $(if $(AGENTS),50,13)
MEGABYTES_clients = 13

# Each kind is built once, and copied for each function that has it: SAM uploads equal bundles once.
BUNDLES = .aws-sam/bundles$(if $(AGENTS),-with-agents)

build-DisconnectFunction build-DeliverFunction build-EraseFunction build-ExpireFunction: $(BUNDLES)/functions.built
	$(copy)

build-GenerateFunction build-GiveUpFunction: $(BUNDLES)/generate.built
	$(copy)

# These check tokens. One bundle for all three: connect and default load nothing of the HTTP API that it also has.
build-ConnectFunction build-DefaultFunction build-ApiFunction: $(BUNDLES)/clients.built
	$(copy)

copy = @cp -Rp "$(basename $<)/." "$(ARTIFACTS_DIR)"

bundles: $(KINDS:%=$(BUNDLES)/%.built)

# Folders are among the sources, so that a file that is gone makes a new bundle too.
SOURCES := docs/asyncapi.json $(shell find handlers -name __pycache__ -prune -o \( -name '*.py' -o -type d \) -print)

# The packages are copied: a file that is a link into uv's cache must not be changed.
$(BUNDLES)/%.built: $(SOURCES) uv.lock infra/build.mk infra/bundle.py | $(UV)
	@$(find_python) > /dev/null 2>&1 || $(UV) python install --quiet $(LAMBDA_PYTHON) || { echo $(no_python) >&2; exit 1; }
	@rm -rf "$(@:.built=)" && mkdir -p "$(@:.built=)"
	@find handlers $(WITHOUT_$*:%=-path % -prune -o) -name '*.py' -print | tar -cf - $(DOCUMENTS_$*) -T - | tar -xf - -C "$(@:.built=)"
	@$(UV) export --quiet --frozen --no-emit-project $(GROUPS_$*:%=--only-group %) --output-file "$(@:.built=.txt)"
	@$(UV) pip install --quiet --requirements "$(@:.built=.txt)" --target "$(@:.built=)" \
		--python-version $(LAMBDA_PYTHON) --python-platform $(LAMBDA_PLATFORM) --only-binary :all: --link-mode copy \
		|| { echo $(no_packages) >&2; exit 1; }
	@"$$($(find_python))" infra/bundle.py "$(@:.built=)" $(MEGABYTES_$*) $(WHOLE_$*) > "$@.part"
	@mv "$@.part" "$@"

# Bytecode is of one version of Python. pyenv offers a version only to those who name it.
find_python = PYENV_VERSION=$(LAMBDA_PYTHON) $(UV) python find --no-project $(LAMBDA_PYTHON)
no_python = "No Python $(LAMBDA_PYTHON) here, and uv cannot download one. The bundles need it for their bytecode:" \
	"without it, each cold start takes twice as long. Install Python $(LAMBDA_PYTHON), then run make build again."
no_packages = "The packages of the bundle $* cannot be installed; uv says above why not. Without a network it needs those that" \
	"it has kept of an earlier build: run make build once where the package registry is reachable."
