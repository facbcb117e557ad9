# Builds the bundles of the functions. The template says `BuildMethod: makefile`, so `sam build` runs
# `make build-<logical id>` for each function, in the root of the repository, with ARTIFACTS_DIR set.

.PHONY: build deploy remove doctor smoke

SAM = SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam
# A config environment of the SAM CLI: `make deploy STAGE=prod`.
STAGE = dev
SAM_CONFIG_FILE = infra/samconfig.toml
OPERATE = --stage $(STAGE) --config-file $(SAM_CONFIG_FILE)

build: .venv-sam/up-to-date
	@$(SAM) build --config-file $(abspath $(SAM_CONFIG_FILE)) --config-env $(STAGE) --template-file infra/template.yaml || { \
		echo "make build: no bundles were made, and nothing was deployed. The reason is above. Without the network, or"; \
		echo "behind a proxy that uv does not know (HTTPS_PROXY), packages cannot be fetched: mend that, then make build again."; \
		exit 1; } >&2

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

# Must be the same as Runtime and Architectures in the template. The build needs neither that Python nor that processor.
LAMBDA_PYTHON = 3.13
LAMBDA_PLATFORM = aarch64-manylinux2014

GROUPS = functions
build-GenerateFunction: GROUPS = functions generate
build-GiveUpFunction: GROUPS = functions generate
build-ApiFunction: GROUPS = functions api

build-%Function:
	@find handlers -name '*.py' | tar -cf - -T - | tar -xf - -C "$(ARTIFACTS_DIR)"
	@$(UV) export --quiet --frozen --no-emit-project $(GROUPS:%=--only-group %) --output-file "$(ARTIFACTS_DIR)/requirements.txt"
	@$(UV) pip install --quiet --requirements "$(ARTIFACTS_DIR)/requirements.txt" --target "$(ARTIFACTS_DIR)" \
		--python-version $(LAMBDA_PYTHON) --python-platform $(LAMBDA_PLATFORM) --only-binary :all:
	$(compile)

# The bundle contains the bytecode. Lambda cannot keep bytecode, so without it every cold start compiles again.
# The files lose their times on the way to Lambda, so Python must not compare times: unchecked hashes.
define compile
@if python=$$($(UV) python find --no-project $(LAMBDA_PYTHON) 2>/dev/null); then \
	"$$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$(ARTIFACTS_DIR)" -p /var/task "$(ARTIFACTS_DIR)"; \
else \
	echo "No Python $(LAMBDA_PYTHON) here: $@ goes without bytecode, which doubles cold starts. uv python install $(LAMBDA_PYTHON) gets one."; \
fi
endef
