# What the template's Makefile and the template folder's share: everything that building and running
# leave behind goes into .build/, because a project that is generated must not start with it.
# The template folder includes this file by a line that no generated project has.

BUILD := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))/.build

export UV_PROJECT_ENVIRONMENT := $(BUILD)/venv
export PYTHONPYCACHEPREFIX := $(BUILD)/pycache
export RUFF_CACHE_DIR := $(BUILD)/ruff
export MYPY_CACHE_DIR := $(BUILD)/mypy
export PYTEST_ADDOPTS := -o cache_dir=$(BUILD)/pytest
export DEV_DATA := $(BUILD)/data

# The service's own recipe installs uv where there is none, from this folder instead of its own.
PRIVATE_UV := $(BUILD)/.uv/bin/uv
export UV ?= $(or $(shell command -v uv 2>/dev/null),$(PRIVATE_UV))

$(UV_PROJECT_ENVIRONMENT)/.ready: | $(filter $(PRIVATE_UV),$(UV))

$(PRIVATE_UV):
	@mkdir -p $(BUILD)
	@$(MAKE) --no-print-directory -C $(BUILD) -f '../{{cookiecutter.project_slug}}/Makefile' .uv/bin/uv
