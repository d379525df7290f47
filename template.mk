# Shared by the template's Makefile and the template folder's. Everything that building and running
# create goes into .build/, because a generated project must not contain it.
# The line of the template folder's Makefile that includes this file is not generated.

BUILD := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))/.build

export UV_PROJECT_ENVIRONMENT := $(BUILD)/venv
export PYTHONPYCACHEPREFIX := $(BUILD)/pycache
export RUFF_CACHE_DIR := $(BUILD)/ruff
export MYPY_CACHE_DIR := $(BUILD)/mypy
export PYTEST_ADDOPTS := -o cache_dir=$(BUILD)/pytest
export DEV_DATA := $(BUILD)/data

# If uv is missing, the service's own recipe installs it in this folder.
PRIVATE_UV := $(BUILD)/.uv/bin/uv
export UV ?= $(or $(shell command -v uv 2>/dev/null),$(PRIVATE_UV))

$(UV_PROJECT_ENVIRONMENT)/.ready: | $(filter $(PRIVATE_UV),$(UV))

$(PRIVATE_UV):
	@mkdir -p $(BUILD)
	@$(MAKE) --no-print-directory -C $(BUILD) -f '../{{cookiecutter.project_slug}}/Makefile' .uv/bin/uv
