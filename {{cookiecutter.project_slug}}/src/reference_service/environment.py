"""Read settings from environment variables, and report all errors together, one per line."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar, get_args, get_type_hints

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound=BaseSettings)
D = TypeVar("D", bound="DataclassInstance")
Variable = tuple[str, str, str]  # its name, default and description


class SettingsError(ValueError):
    """Settings that cannot be used. `errors` has one line per setting, without secret values."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def read(kind: type[D]) -> D:
    """Return a dataclass whose fields are settings classes, each read from the environment."""
    return kind(*read_all((section, None) for section in sections(kind).values()))


def read_section(section: type[S]) -> S:
    """Return one settings class, read from the environment. Raises SettingsError."""
    [settings] = read_all([(section, None)])
    return settings


def read_all(classes: Iterable[tuple[type[S], str | None]]) -> list[S]:
    """Return settings classes, each with a prefix of its variables, read from the environment.

    A prefix of None stands for the one of the class. An empty variable is unset. Raises
    SettingsError with every error.
    """
    values: list[S] = []
    errors: list[str] = []
    for section, prefix in classes:
        try:
            values.append(section(_env_prefix=prefix, _env_ignore_empty=True))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            by_field = {each["loc"][0]: each for each in found}  # a union has one for each member
            errors += [_describe(section, prefix, each) for each in by_field.values()]
    if errors:
        raise SettingsError(errors)
    return values


def sections(kind: type[D]) -> dict[str, type[BaseSettings]]:
    """Return the settings classes of a dataclass, by field."""
    return get_type_hints(kind)


def variables(section: type[BaseSettings], prefix: str | None = None) -> Iterator[Variable]:
    """Yield each variable of a settings class."""
    for name, field in section.model_fields.items():
        default = "required" if field.is_required() else field.default
        shown = "" if default in (None, "") or isinstance(default, SecretStr) else str(default)
        yield _variable(section, name, prefix), shown, _description(field)


def find_misspelled(known: set[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable with a known prefix that is almost a setting."""
    prefixes = tuple({name.partition("_")[0] + "_" for name in known})
    for name in sorted(environment):
        if name not in known and name.startswith(prefixes):
            for meant in difflib.get_close_matches(name, known, 1, cutoff=0.85):
                yield f"{name} is not a setting: did you mean {meant}?"


def _describe(section: type[BaseSettings], prefix: str | None, error: ErrorDetails) -> str:
    """Return one line: the variable, what is wrong, what is expected. No secrets."""
    name = str(error["loc"][0])
    field = section.model_fields[name]
    is_secret = SecretStr in (field.annotation, *get_args(field.annotation))
    wrong = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        wrong = "not set"
    elif not is_secret:
        wrong += f" (it is {error['input']!r})"
    return f"{_variable(section, name, prefix)}: {wrong}. {_description(field)}"


def _description(field: FieldInfo) -> str:
    """Return the docstring of a setting, as one line."""
    return " ".join((field.description or "").split())


def _variable(section: type[BaseSettings], name: str, prefix: str | None) -> str:
    own = str(section.model_config.get("env_prefix", ""))
    return f"{own if prefix is None else prefix}{name}".upper()
