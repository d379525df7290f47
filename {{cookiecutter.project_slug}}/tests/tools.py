"""Programs that tests run and no wheel carries."""

import os
import shutil

import pytest


def tool(*names: str, package: str = "") -> str:
    """Return the path of the first of these programs that is installed.

    Without any of them the test is skipped, and fails under `CI=true`: there nothing may go untold.
    package: who has them in Debian, if it is not called as the first of them.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"{names[0]} is not installed: apt install {package or names[0]}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
