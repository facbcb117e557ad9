# Bundles of the functions. `sam build` asks for each of them by `make build-<logical id>`, in the repository's
# root and with ARTIFACTS_DIR set, because the template says `BuildMethod: makefile`.

.PHONY: build deploy

SAM = SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam
SAM_CONFIG = --config-file $(CURDIR)/infra/samconfig.toml

build: .venv-sam/up-to-date
	$(SAM) build $(SAM_CONFIG) --template-file infra/template.yaml

deploy: build
	$(SAM) deploy $(SAM_CONFIG) $(ARGS)

# As Runtime and Architectures in the template say; the bundle is made without that Python or that processor.
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

# Lambda cannot keep the bytecode that it compiles: without it in the bundle every cold start compiles anew.
# Files lose their times on the way, hence the unchecked hashes.
define compile
@if python=$$($(UV) python find --no-project $(LAMBDA_PYTHON) 2>/dev/null); then \
	"$$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$(ARTIFACTS_DIR)" -p /var/task "$(ARTIFACTS_DIR)"; \
else \
	echo "No Python $(LAMBDA_PYTHON) here: $@ goes without bytecode, which doubles cold starts. uv python install $(LAMBDA_PYTHON) gets one."; \
fi
endef
