# The template's own commands. Each first sets up what it needs: nothing has to be installed but
# Python 3.11 and make. `make` alone lists them.

ifneq ($(words $(CURDIR)),1)
$(error make cannot work below a folder with a space in its name: move "$(CURDIR)" elsewhere)
endif

include template.mk

.DEFAULT_GOAL := help
.PHONY: help demo test test-all faults bench golden lint format pins clean

SERVICE := {{cookiecutter.project_slug}}
TOOLS := $(BUILD)/tools
BIN := $(TOOLS)/bin
READY := $(TOOLS)/.ready
SCANNER := $(BUILD)/scanner

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 20

demo: $(READY) ## Generate a service and serve it on a real PostgreSQL and Valkey
	@$(BIN)/python -m tools.demo

test: $(READY) $(SCANNER)/.ready ## Run the reference service's tests, then the template's
	@status=0; \
	$(MAKE) --no-print-directory -C '$(SERVICE)' test ARGS= || status=1; \
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder $(ARGS) || status=1; \
	exit $$status

test-all: ## Run every test, and try each two features together: about an hour
	@CI=true $(MAKE) --no-print-directory test ARGS=--all

faults: $(READY) ## Break a generated service in every way, and hold its probes to the truth
	@PYTHONPATH='tests:$(SERVICE)' $(BIN)/python -m faults $(ARGS)

bench: $(READY) ## Measure a generated service beside the least that could do the same
	@PYTHONPATH='tests:$(SERVICE)' $(BIN)/python -m bench $(ARGS)

golden: $(READY) ## Write anew what the chart must render, for its diff to be read
	@GOLDEN=write $(BIN)/pytest -q tests/chart/test_golden.py

lint: $(READY) ## Check the template, then the reference service
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	@$(MAKE) --no-print-directory -C '$(SERVICE)' lint

format: $(READY) ## Format the template's code, and mend what can be mended safely
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

docs: $(READY) ## Write the tables in documents from what they describe
	@$(BIN)/python -m tools.values_table
	@$(BIN)/python -m tools.settings_table

pins: $(READY) ## Move every package to its newest version, or some: make pins ONLY="redis hiredis"
	@$(BIN)/python -m tools.pins $(ONLY)

clean: ## Delete all that the other targets have made
	rm -rf .build uv.lock tools/scanner/uv.lock '$(SERVICE)/uv.lock'

# ---- Set-up

export UV_COMPILE_BYTECODE ?= 1
unexport VIRTUAL_ENV

# Where pip looks for packages, uv looks too.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

# uv trusts whom the system trusts, as pip does.
ifneq (,$(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))
export UV_SYSTEM_CERTS ?= true
endif

$(READY): pyproject.toml | $(filter $(PRIVATE_UV),$(UV))
	@UV_PROJECT_ENVIRONMENT=$(TOOLS) $(UV) sync --quiet
	@touch $@

# The scanner's requirements and the other tools' do not fit together.
$(SCANNER)/.ready: tools/scanner/pyproject.toml | $(filter $(PRIVATE_UV),$(UV))
	@UV_PROJECT_ENVIRONMENT=$(SCANNER) $(UV) sync --quiet --project tools/scanner
	@touch $@
