"""Maintenance and read-only mode. Each has a check that fails while it is on."""

import logging
from collections.abc import Callable, Iterable

from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from ..health import Check, CheckResult, PermanentFailure, Status
from ..resilience.problem import send_problem

log = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1
RETRY_AFTER = 30  # seconds that a client is to wait in read-only mode


class SwitchedOn(PermanentFailure):
    """An operator has switched it on. The detail is the operator's reason."""


class Switch:
    """Off, or on for a reason.

    reason: why it is on; None while it is off.
    """

    def __init__(self, name: str, impact: Status, impact_reason: str) -> None:
        self.name = name
        self.reason: str | None = None
        self._impact, self._impact_reason = impact, impact_reason

    def check(self) -> Check:
        """Return the check that fails while the switch is on."""

        async def is_off() -> CheckResult:
            if self.reason is not None:
                raise SwitchedOn(self.reason)
            return CheckResult(detail="off")

        return Check(
            self.name, is_off, self._impact, impact_reason=self._impact_reason, startup=False
        )


class Switches:
    """The switches of one service, by name.

    maintenance: `ready` answers 503, and requests are still answered.
    read-only: requests that can change something are answered 503, and `ready` warns.

    token: what operators must know. Without it, nothing can be switched, and there are no checks.
    """

    def __init__(self, token: SecretStr | None) -> None:
        self.token = token
        reasons = "an operator takes the service out of rotation", "reads go on"
        self.maintenance = Switch("maintenance", Status.FAIL, reasons[0])
        self.read_only = Switch("read-only", Status.WARN, reasons[1])
        self.by_name = {each.name: each for each in (self.maintenance, self.read_only)}
        self.on_change: Callable[[str], None] = lambda _: None  # called with the name of a check

    def checks(self) -> Iterable[Check]:
        """Return one check for each switch."""
        return [switch.check() for switch in self.by_name.values()] if self.token else ()

    def set(self, name: str, reason: str | None) -> None:
        """Turn a switch on, or off without a reason, and log it. Raises KeyError for others."""
        self.by_name[name].reason = reason
        state = "off" if reason is None else "on"
        log.warning("switched %s", state, extra={"switch": name, "reason": reason})
        self.on_change(name)


class ReadOnlyMode:
    """Answer 503 with `Retry-After` to requests that can change something, while a switch is on.

    switch: read-only mode.
    on_reject: called for each of them. `scope["state"]["rejected"]` is "read_only" then.
    """

    def __init__(self, app: ASGIApp, *, switch: Switch, on_reject: Callable[[], None]) -> None:
        self.app = app
        self.switch = switch
        self.on_reject = on_reject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or reject it."""
        is_on = self.switch.reason is not None
        if not is_on or scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["rejected"] = "read_only"
        self.on_reject()
        headers = [(b"retry-after", str(RETRY_AFTER).encode())]
        detail = "The service is read-only at the moment; try again later."
        await send_problem(scope, send, 503, detail, headers)
