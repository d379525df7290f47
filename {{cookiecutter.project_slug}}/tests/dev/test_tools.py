"""A test that lacks a program says so."""

import pytest

from ..tools import tool


def test_without_the_program_a_test_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed: apt install its-package"):
        tool("no-such-program", "nor-this-one", package="its-package")


def test_under_ci_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="not installed: apt install no-such-program"):
        tool("no-such-program")


def test_whichever_is_there_will_do() -> None:
    assert tool("no-such-program", "sh").endswith("/sh")
