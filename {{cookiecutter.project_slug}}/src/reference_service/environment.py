"""How settings are read: from the environment, once, with one sentence a fault."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, cast

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

S = TypeVar("S", bound=BaseSettings)


class SettingsError(ValueError):
    """Settings that cannot be used; `faults` holds one sentence each, without secret values."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Settings:
    """Settings classes with their values, each found by its class: `settings[Service].port`."""

    def __init__(self, values: Mapping[type[BaseSettings], BaseSettings]) -> None:
        self._values = values

    def __getitem__(self, part: type[S]) -> S:
        """Return the values of a class. Raises KeyError for one that was not read."""
        return cast(S, self._values[part])


def read(parts: Iterable[type[BaseSettings]]) -> Settings:
    """Return settings classes with their values from the environment.

    Raises SettingsError with every fault found.
    """
    faults: list[str] = []
    values: dict[type[BaseSettings], BaseSettings] = {}
    for part in parts:
        try:
            values[part] = part()
        except ValidationError as error:
            faults += describe(part, error, prefix_of(part))
    if faults:
        raise SettingsError(faults)
    return Settings(values)


def describe(part: type[BaseSettings], error: ValidationError, prefix: str) -> Iterator[str]:
    """Yield a sentence a fault: the variable, what is wrong, how to mend it. Secrets stay out."""
    for fault in error.errors(include_url=False, include_context=False):
        name = str(fault["loc"][0])
        field = part.model_fields[name]
        variable = f"{prefix}{name}".upper()
        if fault["type"] == "missing":
            yield f"{variable}: not set. {field.description}"
            continue
        given = "" if field.annotation is SecretStr else f" (it is {fault['input']!r})"
        wrong = fault["msg"].removeprefix("Value error, ")
        yield f"{variable}: {wrong}{given}. {field.description}"


def table(part: type[BaseSettings], prefix: str | None = None) -> Iterator[tuple[str, str, str]]:
    """Yield each variable's name, default and meaning."""
    for name, field in part.model_fields.items():
        default = "required" if field.is_required() else field.default
        shown = "" if default in (None, "") or isinstance(default, SecretStr) else str(default)
        yield f"{prefix or prefix_of(part)}{name.upper()}", shown, field.description or ""


def find_misspelled(known: set[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable that is no setting, but nearly is one."""
    prefixes = tuple({name.partition("_")[0] + "_" for name in known})
    for name in sorted(environment):
        if name not in known and name.startswith(prefixes):
            for meant in difflib.get_close_matches(name, known, 1, cutoff=0.85):
                yield f"{name} is not a setting: did you mean {meant}?"


def prefix_of(part: type[BaseSettings]) -> str:
    """Return what the names of a settings class's variables begin with."""
    return str(part.model_config.get("env_prefix", ""))
