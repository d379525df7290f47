"""The base image, and a package index."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.generate import ROOT

from .base_image import BaseImageError, base_folder
from .container import why_impossible
from .private_index import PrivateIndex, running_private_index

STORAGE = ROOT / ".build/container"


@pytest.fixture(scope="session")
def base_files() -> Path:
    """Return the folder with the files of the base image, or skip the test with the reason."""
    if reason := why_impossible(STORAGE):
        pytest.skip(reason)
    require("debootstrap")
    try:
        return base_folder(STORAGE / "base")
    except BaseImageError as error:
        pytest.skip(str(error))


@pytest.fixture
def private_index(tmp_path: Path) -> Iterator[PrivateIndex]:
    """Run a package index that only its own authority's certificate makes trusted."""
    with running_private_index(tmp_path) as index:
        yield index


def require(tool: str) -> None:
    """Skip the test if a tool is missing, or fail it under `CI=true`."""
    if not shutil.which(tool):
        reason = f"{tool} is not installed: apt install {tool}"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
