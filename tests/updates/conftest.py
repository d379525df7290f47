"""Fixtures for the tests of updates: a template with history, and a service of each version."""

from pathlib import Path

import pytest

from .team import create
from .template import Template, build


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Create the repository of the template, at its newest commit."""
    return build(tmp_path_factory.mktemp("template") / "candid")


@pytest.fixture(scope="session")
def older(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate a service from the older version of the template. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("older") / "out"
    return create(template, folder, "--checkout", template.older)


@pytest.fixture(scope="session")
def newest(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate a service from the newest version of the template. Copy it before changing it."""
    return create(template, tmp_path_factory.mktemp("newest") / "out")
