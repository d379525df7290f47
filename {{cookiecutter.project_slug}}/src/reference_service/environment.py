"""Read settings from environment variables, and report all errors together, one per line."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from .redaction import hide, hide_credentials, redact
from .secret_files import SUFFIX, find_secret_file

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound=BaseSettings)
D = TypeVar("D", bound="DataclassInstance")
Variable = tuple[str, str, str]  # its name, default and description

HOST = re.compile(r"/.*|([\w:%-]{1,63}(\.[\w:%-]{1,63})*\.?)?")  # or the path of a socket
ESCAPE = (
    "in the user and the password, `/ ? # % [ ]` and spaces must be percent-encoded, for example"
    " %23 for #, and behind the host @ as %40"
)


class SettingsError(ValueError):
    """Settings that cannot be used. `errors` has one line per setting, without secret values."""

    def __init__(self, errors: list[str]) -> None:
        self.errors = [redact(error) for error in errors]
        super().__init__("\n".join(self.errors))


def read(kind: type[D]) -> D:
    """Return a dataclass whose fields are settings classes, each read from the environment."""
    return kind(*read_all((section, None) for section in sections(kind).values()))


def read_section(section: type[S]) -> S:
    """Return one settings class, read from the environment. Raises SettingsError."""
    [settings] = read_all([(section, None)])
    return settings


def read_all(classes: Iterable[tuple[type[S], str | None]]) -> list[S]:
    """Return settings classes, each with a prefix of its variables, read from the environment.

    A prefix of None stands for the one of the class. An empty variable is unset. A secret can also
    be in a file, which the variable with the suffix `_FILE` names. Secrets are hidden from now on.
    Raises SettingsError with every error.
    """
    values: list[S] = []
    errors: list[str] = []
    for section, prefix in classes:
        files, unusable = _find_secret_files(section, prefix)
        errors += unusable.values()
        try:
            values.append(section(_env_prefix=prefix, _env_ignore_empty=True, **files))
            _hide_secrets(values[-1])
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            by_field = {each["loc"][0]: each for each in found}  # a union has one for each member
            others = [each for name, each in by_field.items() if name not in unusable]
            errors += [_describe(section, prefix, each) for each in others]
    if errors:
        raise SettingsError(errors)
    return values


def is_secret(annotation: object) -> bool:
    """Return whether values of a type are secret, or contain something that is."""
    return annotation in (SecretStr, SecretBytes) or any(map(is_secret, get_args(annotation)))


def sections(kind: type[D]) -> dict[str, type[BaseSettings]]:
    """Return the settings classes of a dataclass, by field."""
    return get_type_hints(kind)


def variables(section: type[BaseSettings], prefix: str | None = None) -> Iterator[Variable]:
    """Yield each variable of a settings class."""
    for name, field in section.model_fields.items():
        default = "required" if field.is_required() else field.default
        shown = "" if default in (None, "") or is_secret(field.annotation) else str(default)
        yield _variable(section, name, prefix), shown, _description(field)


def find_misspelled(known: set[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable with a known prefix that is almost a setting."""
    prefixes = tuple({name.partition("_")[0] + "_" for name in known})
    for name in sorted(environment):
        if name.removesuffix(SUFFIX) not in known and name.startswith(prefixes):
            for meant in difflib.get_close_matches(name, known, 1, cutoff=0.85):
                yield f"{name} is not a setting: did you mean {meant}?"


def split_url(text: str) -> SplitResult:
    """Split the URL of a server. Raises ValueError, whose message contains no part of the URL.

    Other parsers take `app:pass#word@host` for the host `app`, and show a part of the password.
    """
    try:
        url = urlsplit(text)
    except ValueError:
        raise ValueError(ESCAPE) from None
    credentials, _, hosts = url.netloc.rpartition("@")
    behind = f"{url.path}?{url.query}"
    if "#" in text or "@" in behind or re.search(r"\s|%(?![\da-fA-F]{2})", text):
        raise ValueError(ESCAPE)
    if "[" in credentials or "]" in credentials:
        raise ValueError(ESCAPE)
    try:
        parts = [urlsplit(f"//{host}") for host in hosts.split(",")]
        valid = all(part.port != 0 for part in parts)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("a port is not a number from 1 to 65535, or an IPv6 address not in [ ]")
    if not all(HOST.fullmatch(unquote(part.hostname or "")) for part in parts):
        raise ValueError("a host is not a name or an address")
    if {"\0", "\ufffd"}.intersection(unquote(text)):
        raise ValueError("a percent-encoded character is NUL, or not UTF-8")
    return url


def _find_secret_files(
    section: type[BaseSettings], prefix: str | None
) -> tuple[dict[str, Any], dict[int | str, str]]:
    """Return the secrets that are in files, and a sentence for each that cannot be used."""
    files: dict[str, Any] = {}
    unusable: dict[int | str, str] = {}
    for name, field in section.model_fields.items():
        variable = _variable(section, name, prefix)
        if value := os.environ.get(variable):  # env files leave spaces and `\r` around it
            secret = is_secret(field.annotation)
            os.environ[variable] = value.rstrip("\r\n") if secret else value.strip()
        is_text = SecretStr in (field.annotation, *get_args(field.annotation))
        if not is_text or variable.startswith("OTEL_"):  # which OpenTelemetry reads itself
            continue
        try:
            if found := find_secret_file(variable):
                files[name] = found
        except ValueError as error:
            unusable[name] = f"{variable}{SUFFIX}: {error}. {_description(field)}"
    return files, unusable


def _hide_secrets(value: object) -> None:
    match value:
        case SecretStr():
            hide(value.get_secret_value())
        case SecretBytes():
            hide(value.get_secret_value().decode(errors="replace"))
        case str():
            hide_credentials(value)
        case BaseModel():
            _hide_secrets([*vars(value).values()])
        case dict():
            _hide_secrets([*value.values()])
        case list() | tuple() | set() | frozenset():
            for each in value:
                _hide_secrets(each)


def _describe(section: type[BaseSettings], prefix: str | None, error: ErrorDetails) -> str:
    """Return one line: the variable, what is wrong, what is expected. No secrets."""
    name = str(error["loc"][0])
    field = section.model_fields[name]
    wrong = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        wrong = "not set"
    elif is_secret(field.annotation):
        hide(str(error["input"]))
    elif "@" in str(error["input"]):  # before it, there can be a password
        for part in str(error["input"]).split(","):
            hide(part.rpartition("@")[0])
    else:
        wrong += f" (it is {error['input']!r})"
    return f"{_variable(section, name, prefix)}: {wrong}. {_description(field)}"


def _description(field: FieldInfo) -> str:
    """Return the docstring of a setting, as one line."""
    return " ".join((field.description or "").split())


def _variable(section: type[BaseSettings], name: str, prefix: str | None) -> str:
    own = str(section.model_config.get("env_prefix", ""))
    return f"{own if prefix is None else prefix}{name}".upper()
