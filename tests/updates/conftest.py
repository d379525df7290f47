"""What the tests of updates share: a template with a past, and a service of each of its states."""

from pathlib import Path

import pytest

from .team import create
from .template import Template, build


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Make the repository of the template, at its newest commit."""
    return build(tmp_path_factory.mktemp("template") / "candid")


@pytest.fixture(scope="session")
def older(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate a service from the older state of the template: copy it before changing it."""
    folder = tmp_path_factory.mktemp("older") / "out"
    return create(template, folder, "--checkout", template.older)


@pytest.fixture(scope="session")
def newest(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate a service from the newest state of the template: copy it before changing it."""
    return create(template, tmp_path_factory.mktemp("newest") / "out")
