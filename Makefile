# The template's own commands; `make` alone lists them. Each target first sets up what it needs.
# Only Python 3.11 and make have to be installed.

ifneq ($(words $(CURDIR)),1)
$(error make cannot work below a folder with a space in its name: move "$(CURDIR)" elsewhere)
endif

include template.mk

.DEFAULT_GOAL := help
.PHONY: help demo recording copy check test test-all faults prove outages proxies bench comparison soak fuzz golden lint format docs pins clean

SERVICE := {{cookiecutter.project_slug}}
TOOLS := $(BUILD)/tools
BIN := $(TOOLS)/bin
READY := $(TOOLS)/.ready
SCANNER := $(BUILD)/scanner
COMPARISON := $(BUILD)/comparison/environment

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 20

demo: $(READY) ## Generate a service and serve it on a real PostgreSQL and Valkey
	@$(BIN)/python -m tools.demo

recording: $(READY) ## Record the demo in docs/demo.svg: it needs the ports 8000 and 9000
	@$(BIN)/python -m tools.recording

copy: ## List the patterns, or copy one: make copy PATTERN=recovery INTO=../shop/src/shop
	@case "$${INTO-}" in ''|/*|'~'*) ;; *) INTO="$(CURDIR)/$$INTO" ;; esac; \
	$(MAKE) --no-print-directory -C '$(SERVICE)' copy INTO="$${INTO-}"

check: ## Run the reference service's tests that start no server: under a minute
	@$(MAKE) --no-print-directory -C '$(SERVICE)' check

test: $(READY) $(SCANNER)/.ready ## Run the reference service's tests (8 minutes), then the template's (13 minutes)
	@$(MAKE) --no-print-directory -C '$(SERVICE)' '$(UV_PROJECT_ENVIRONMENT)/.ready'
	@status=0; \
	echo "1 of 2: the reference service's tests, about 8 minutes"; \
	(cd '$(SERVICE)' && $(call repeated,$(SERVICE_TESTS))) || { status=1; service=failed; }; \
	echo "2 of 2: the template's tests, about 13 minutes"; \
	($(call repeated,$(TEMPLATE_TESTS))) || status=1; \
	[ -z "$${service-}" ] || echo "Tests of the reference service failed, see above."; \
	exit $$status

SERVICE_TESTS = '$(UV_PROJECT_ENVIRONMENT)/bin/python' -m pytest -n $(or $(WORKERS),3) --dist loadfile
TEMPLATE_TESTS = $(BIN)/pytest -o cache_dir=$(BUILD)/pytest-template -n 2 --dist loadscope --no-loadscope-reorder $(ARGS)

# In CI, on a machine that may be busy, the tests that failed are repeated once, one at a time, as
# failed faults are. Both runs are printed. Status 1 means that all tests ran and some failed.
repeated = $(1) || { [ $$? -eq 1 ] && [ -n "$${CI-}" ] && $(1) -v -n 0 --last-failed; }

test-all: ## Run all tests, and test every pair of features: about an hour
	@CI=true $(MAKE) --no-print-directory test ARGS=--all

faults: $(READY) ## Break a generated service in every way and compare its probes with the truth
	@PYTHONPATH='tests:$(SERVICE)' $(BIN)/python -m faults $(ARGS)

prove: $(READY) ## Try a million steps of random histories of the health engine (15 minutes)
	@STEPS=$${STEPS:-1000000} $(BIN)/pytest -q --timeout 3600 tests/histories

outages: $(READY) ## Break the database of three replicas with each impact, and print what clients get
	@PYTHONPATH='tests:$(SERVICE)' $(BIN)/python -m rolling.compare $(ARGS)

proxies: $(READY) ## Roll a service 100 times behind nginx, HAProxy and Envoy, and print what clients lose
	@PYTHONPATH='tests:$(SERVICE)' $(BIN)/python -m rolling.compare_proxies $(ARGS)

bench: $(READY) ## Benchmark a generated service against a minimal baseline
	@PYTHONPATH='tests:$(SERVICE)' $(BIN)/python -m bench $(ARGS)

comparison: $(READY) $(COMPARISON)/.ready ## Break health check libraries beside this engine (13 minutes)
	@PYTHONPATH='tests:$(SERVICE)' $(BIN)/python -m comparison $(ARGS)

soak: $(READY) ## Load a generated service for 30 minutes, with a fault every 20 seconds
	@PYTHONPATH='tests:$(SERVICE)' $(BIN)/python -m soak $(ARGS)

fuzz: $(READY) ## Send malformed requests to a service, and hostile answers to the generator (30 minutes)
	@$(MAKE) --no-print-directory -C '$(SERVICE)' '$(UV_PROJECT_ENVIRONMENT)/.ready'
	@PYTHONPATH='tests:$(SERVICE)' $(BIN)/python -m fuzz $(ARGS)

golden: $(READY) ## Rewrite the expected output of the chart, then review the diff
	@GOLDEN=write $(BIN)/pytest -q tests/chart/test_golden.py

lint: $(READY) ## Lint the template, then the reference service
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m tools.words
	@$(MAKE) --no-print-directory -C '$(SERVICE)' lint

format: $(READY) ## Format the template's code and apply safe fixes
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

docs: $(READY) ## Regenerate the tables in the documents
	@$(BIN)/python -m tools.values_table
	@$(BIN)/python -m tools.settings_table

pins: $(READY) ## Upgrade every package, or some: make pins ONLY="redis hiredis"
	@$(BIN)/python -m tools.pins $(ONLY)

clean: ## Delete everything that the other targets created
	rm -rf .build uv.lock tools/scanner/uv.lock '$(SERVICE)/uv.lock'

# ---- Set-up

export UV_COMPILE_BYTECODE ?= 1
unexport VIRTUAL_ENV

# uv uses the package index that pip is configured to use.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

# uv trusts the system's certificates, as pip does.
ifneq (,$(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))
export UV_SYSTEM_CERTS ?= true
endif

$(READY): pyproject.toml | $(filter $(PRIVATE_UV),$(UV))
	@UV_PROJECT_ENVIRONMENT=$(TOOLS) $(UV) sync --quiet
	@touch $@

$(COMPARISON)/.ready: pyproject.toml | $(filter $(PRIVATE_UV),$(UV))
	@UV_PROJECT_ENVIRONMENT=$(COMPARISON) $(UV) sync --quiet --only-group comparison
	@touch $@

# The scanner's requirements conflict with those of the other tools.
$(SCANNER)/.ready: tools/scanner/pyproject.toml | $(filter $(PRIVATE_UV),$(UV))
	@UV_PROJECT_ENVIRONMENT=$(SCANNER) $(UV) sync --quiet --project tools/scanner
	@touch $@
