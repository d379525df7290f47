"""What the template's tests share: a way to generate a project."""

from functools import partial
from pathlib import Path

import pytest
from project import Generate, generate_in


@pytest.fixture
def generate(tmp_path: Path) -> Generate:
    """Generate a project in out/ from the answers given, and the defaults for the rest."""
    return partial(generate_in, tmp_path)
