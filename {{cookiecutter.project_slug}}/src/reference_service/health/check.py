"""What a check is, and the words in which it answers."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar


class Status(StrEnum):
    """The state of a check, or of a whole: the words of application/health+json."""

    PASS = "pass"  # noqa: S105 - a word, not a password
    WARN = "warn"
    FAIL = "fail"

    @staticmethod
    def worst(statuses: "Iterable[Status]") -> "Status":
        """Return the status of a whole: the worst of its parts, `PASS` when it has none."""
        return max(statuses, key=_SEVERITY.__getitem__, default=Status.PASS)


_SEVERITY = {status: severity for severity, status in enumerate(Status)}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check saw. `detail` and `data` are shown on the management port: no secrets.

    Numbers named `in_use` and `max` in `data` are shown as a bar on the page.
    """

    status: Status = Status.PASS
    detail: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


class CheckFailed(Exception):  # noqa: N818 - reads as the sentence it is
    """A fault that the check itself found, in words of its own.

    Its sentence and data are shown on the management port; of any other exception only the type is,
    since a driver's message may hold hosts and credentials. Subclass it to name the fault:
    the type's name is what `?verbose` says.
    """

    permanent: ClassVar[bool] = False

    def __init__(self, detail: str, /, **data: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.data = data


class PermanentFailure(CheckFailed):
    """A fault that another try at once cannot mend, such as a missing role: it fails at once."""

    permanent: ClassVar[bool] = True


AttemptContext = Callable[["Check"], AbstractContextManager[object]]
"""Makes what is entered around an attempt of a check, as a span: a timeout is raised through it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question to one dependency.

    run: called with nothing; returning is a pass, raising is a failure.
    impact: what its failure does to readiness: `Status.FAIL` takes the service out of rotation,
        `Status.WARN` only says so.
    timeout: seconds an attempt may take. None: the engine's.
    interval: seconds between attempts, whatever the load. None: the engine's adaptive cadence.
    failure_threshold: failures in a row that make it fail. None: the engine's, by load.
    permanent: exception types that are not worth an immediate retry, such as bad credentials.
    attributes: what tracing calls the dependency, by OpenTelemetry's semantic conventions, as
        `{"db.system.name": "mysql"}`.
    """

    name: str
    run: Callable[[], Awaitable[CheckResult | None]]
    impact: Status = Status.FAIL
    timeout: float | None = None
    interval: float | None = None
    failure_threshold: int | None = None
    permanent: tuple[type[BaseException], ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a name that cannot stand in a path, and an impact that is none."""
        if not re.fullmatch(r"[a-z][a-z0-9_.-]*", self.name):
            message = f"check name {self.name!r}: use lower-case letters, digits, '.', '_' and '-'"
            raise ValueError(message)
        if self.impact is Status.PASS:
            message = f"check {self.name}: impact is 'fail' or 'warn'"
            raise ValueError(message)
