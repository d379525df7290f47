"""Programs that some tests run and that no wheel contains."""

import os
import shutil

import pytest


def tool(*names: str, package: str = "") -> str:
    """Return the path of the first of these programs that is installed.

    If none is installed, skip the test. Under `CI=true`, fail it, so that nothing is left out.

    package: the Debian package, if its name is not the first program's name.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"{names[0]} is not installed: apt install {package or names[0]}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
