"""A test that needs a missing program is skipped, and fails under CI."""

import pytest

from ..tools import tool


def test_a_missing_program_skips_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed: apt install its-package"):
        tool("no-such-program", "nor-this-one", package="its-package")


def test_a_missing_program_fails_the_test_under_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="not installed: apt install no-such-program"):
        tool("no-such-program")


def test_the_first_installed_program_is_returned() -> None:
    assert tool("no-such-program", "sh").endswith("/sh")
