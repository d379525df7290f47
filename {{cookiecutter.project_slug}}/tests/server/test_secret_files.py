"""Secrets in files: what is read, and the sentence about what cannot be used."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from reference_service.environment import (
    SettingsError,
    find_misspelled,
    read_section,
)
from reference_service.redaction import redact


class ShopSettings(BaseSettings):
    """One required secret, one optional one, and one setting that is not secret."""

    model_config = SettingsConfigDict(env_prefix="SHOP_", use_attribute_docstrings=True)

    token: SecretStr
    """Token of the shop."""
    key: SecretStr | None = None
    """Key of the shop."""
    name: str = "corner"
    """Name of the shop."""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that `SHOP_TOKEN_FILE` names."""
    path = tmp_path / "token"
    path.write_text("first-hunter\n")
    monkeypatch.setenv("SHOP_TOKEN_FILE", str(path))
    return path


def errors() -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_section(ShopSettings)
    return caught.value.errors


def test_secret_is_read_from_its_file_without_the_line_break(file: Path) -> None:
    assert read_section(ShopSettings).token.get_secret_value() == "first-hunter"
    file.write_text("x second hunter \r\n\n")
    assert read_section(ShopSettings).token.get_secret_value() == "x second hunter "


def test_new_content_is_used_and_hidden(file: Path) -> None:
    token = read_section(ShopSettings).token
    file.write_text("second-hunter")
    assert token.get_secret_value() == "second-hunter"
    assert redact("first-hunter, second-hunter") == "***, ***"
    assert "hunter" not in f"{token} {token!r}"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", None])
def test_file_without_a_value_leaves_the_latest_one(file: Path, content: bytes | None) -> None:
    token = read_section(ShopSettings).token
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert token.get_secret_value() == "first-hunter"


def test_optional_secret_is_read_from_its_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_section(ShopSettings).key is None
    monkeypatch.setenv("SHOP_KEY_FILE", str(file))
    key = read_section(ShopSettings).key
    assert key
    assert key.get_secret_value() == "first-hunter"


def test_empty_variables_are_unset(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "")
    monkeypatch.setenv("SHOP_KEY_FILE", "")
    assert read_section(ShopSettings).token.get_secret_value() == file.read_text().strip()


def test_value_and_file_together_are_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hunter")
    [error] = errors()
    assert error == (
        "SHOP_TOKEN_FILE: set either SHOP_TOKEN or SHOP_TOKEN_FILE. Token of the shop."
    )
    assert file.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot read {path}: No such file or directory"),
        (b"\xff\xfe", "{path} is not UTF-8 text"),
        (b"\n", "{path} is empty"),
    ],
)
def test_file_that_cannot_be_read_is_an_error(
    file: Path, content: bytes | None, reason: str
) -> None:
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    [error] = errors()
    assert error == f"SHOP_TOKEN_FILE: {reason.format(path=file)}. Token of the shop."


def test_folder_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN_FILE", str(file.parent))
    [error] = errors()
    assert error.startswith(f"SHOP_TOKEN_FILE: cannot read {file.parent}: ")


def test_variable_with_the_suffix_is_not_misspelled() -> None:
    known = {"SHOP_TOKEN_OF_ALL_CUSTOMERS"}
    assert not list(find_misspelled(known, {"SHOP_TOKEN_OF_ALL_CUSTOMERS_FILE": "x"}))
    assert list(find_misspelled(known, {"SHOP_TOKEN_OF_AL_CUSTOMERS": "x"}))
