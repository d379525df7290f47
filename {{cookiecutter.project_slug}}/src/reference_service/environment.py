"""Read settings from environment variables, once, and report every error in one sentence."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound=BaseSettings)
D = TypeVar("D", bound="DataclassInstance")


class SettingsError(ValueError):
    """Settings that cannot be used. `errors` has one sentence each, without secret values."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def read(kind: type[D]) -> D:
    """Return a dataclass whose fields are settings classes, each read from the environment.

    Raises SettingsError with the errors of all of them.
    """
    errors: list[str] = []
    values: dict[str, BaseSettings] = {}
    for name, section in sections(kind).items():
        try:
            values[name] = read_section(section)
        except SettingsError as error:
            errors += error.errors
    if errors:
        raise SettingsError(errors)
    return kind(**values)


def read_section(section: type[S], prefix: str | None = None) -> S:
    """Return one settings class, read from the environment.

    prefix: of its variables, if it is not the one of the class. Raises SettingsError.
    """
    try:
        return section() if prefix is None else section(_env_prefix=prefix)
    except ValidationError as error:
        raise SettingsError(list(_describe(section, error, prefix))) from error


def sections(kind: type[D]) -> dict[str, type[BaseSettings]]:
    """Return the settings classes of a dataclass, by field."""
    hints: dict[str, Any] = get_type_hints(kind)
    return {each.name: hints[each.name] for each in dataclasses.fields(kind)}


def variables(
    section: type[BaseSettings], prefix: str | None = None
) -> Iterator[tuple[str, str, str]]:
    """Yield the name, default and description of each variable of a settings class."""
    for name, field in section.model_fields.items():
        default = "required" if field.is_required() else field.default
        shown = "" if default in (None, "") or isinstance(default, SecretStr) else str(default)
        yield _variable(section, name, prefix), shown, field.description or ""


def find_misspelled(known: set[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable whose name is almost the name of a setting."""
    prefixes = tuple({name.partition("_")[0] + "_" for name in known})
    for name in sorted(environment):
        if name not in known and name.startswith(prefixes):
            for meant in difflib.get_close_matches(name, known, 1, cutoff=0.85):
                yield f"{name} is not a setting: did you mean {meant}?"


def _describe(
    section: type[BaseSettings], error: ValidationError, prefix: str | None
) -> Iterator[str]:
    """Yield one sentence per error: the variable, what is wrong, what is expected. No secrets."""
    for each in error.errors(include_url=False, include_context=False):
        name = str(each["loc"][0])
        field = section.model_fields[name]
        variable = _variable(section, name, prefix)
        if each["type"] == "missing":
            yield f"{variable}: not set. {field.description}"
            continue
        given = "" if field.annotation is SecretStr else f" (it is {each['input']!r})"
        wrong = each["msg"].removeprefix("Value error, ")
        yield f"{variable}: {wrong}{given}. {field.description}"


def _variable(section: type[BaseSettings], name: str, prefix: str | None) -> str:
    own = str(section.model_config.get("env_prefix", ""))
    return f"{own if prefix is None else prefix}{name}".upper()
