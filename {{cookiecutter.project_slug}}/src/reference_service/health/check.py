"""What a check is, and how it reports its result."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar


class Status(StrEnum):
    """The status of a check or of the service, as `application/health+json` spells it."""

    PASS = "pass"  # noqa: S105 - a word, not a password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of an attempt. The management port shows `detail` and `data`: no secrets.

    If `data` has the numbers `in_use` and `max`, the page shows them as a bar.
    """

    status: Status = Status.PASS
    detail: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


class CheckFailed(Exception):  # noqa: N818 - `raise CheckFailed(…)` reads as a sentence
    """A failure that the check itself has found.

    The management port shows its detail and data. Of any other exception it shows only the type,
    because the message of a driver can hold hosts and credentials. Subclass it to name the failure:
    `?verbose` shows the name of the type.
    """

    permanent: ClassVar[bool] = False

    def __init__(self, detail: str, /, **data: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.data = data


class PermanentFailure(CheckFailed):
    """A failure that an immediate retry cannot fix, such as a missing role.

    The check fails at once, without waiting for the failure threshold.
    """

    permanent: ClassVar[bool] = True


AttemptContext = Callable[["Check"], AbstractContextManager[object]]
"""Returns a context manager for one attempt, such as a span. A timeout is raised inside it."""


@dataclass(frozen=True, slots=True)
class Check:
    """A health check of one dependency.

    name: unique; lower-case letters, digits, `.`, `_` and `-`.
    run: a callable without parameters. Returning is a pass, raising is a failure. A plain `def`
        function runs in a thread of its own. A thread cannot be ended, so no other attempt is made
        until it returns.
    impact: what its failure does to readiness. `Status.FAIL` takes the service out of rotation,
        `Status.WARN` only warns.
    impact_reason: why it has this impact, for those who read the report.
    part_of: the check that this one is a part of, if its name does not say so: `db.pool` is a part
        of `db`. A part has the impact of the whole, and evidence against the whole rechecks it.
    timeout: seconds an attempt may take. None: `Options.timeout`.
    interval: seconds between attempts, whatever the load. None: the adaptive interval.
    failure_threshold: consecutive failures that make it fail. None: the adaptive threshold.
    permanent: exception types that an immediate retry cannot fix, such as bad credentials.
    attributes: span attributes by OpenTelemetry's conventions: `{"db.system.name": "mysql"}`.
    startup: whether `startup` waits for it.
    liveness: whether `live` fails too when it fails. Only for what a restart of the process fixes.

    Raises ValueError for an invalid name or impact.
    """

    name: str
    run: Callable[[], Awaitable[CheckResult | None] | CheckResult | None]
    impact: Status = Status.FAIL
    impact_reason: str = ""
    part_of: str = ""
    timeout: float | None = None
    interval: float | None = None
    failure_threshold: int | None = None
    permanent: tuple[type[BaseException], ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    startup: bool = True
    liveness: bool = False

    def __post_init__(self) -> None:
        """Reject a name that cannot be part of a path, and an impact of `pass`."""
        if not re.fullmatch(r"[a-z][a-z0-9_.-]*", self.name):
            message = f"check name {self.name!r}: use lower-case letters, digits, '.', '_' and '-'"
            raise ValueError(message)
        if self.impact is Status.PASS:
            raise ValueError(f"check {self.name}: impact must be 'fail' or 'warn'")

    def belongs_to(self, name: str) -> bool:
        """Tell whether this is the check of that name, or a part of it."""
        return name in {self.name, self.part_of} or self.name.startswith(f"{name}.")
