"""Certificates: a check names what is wrong with one, and warns before one expires."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ..health import Check, CheckResult, PermanentFailure, Status
from .tls import REJECTED, REQUIRED, explain

WARN_BEFORE = timedelta(days=14)
INSPECT_INTERVAL = 60.0  # seconds between two looks at the certificates of a check that passes
INSPECT_TIMEOUT = 0.25  # seconds for a handshake: half of what an attempt may take
ALERT_TIMEOUT = 0.1  # seconds in which a server rejects a client after the handshake
CERTIFICATE_REQUEST = 13  # RFC 8446, section 4
# Two times, one after the other: notBefore and notAfter. RFC 5280, section 4.1.2.5.
VALIDITY = re.compile(rb"(?:\x17\x0d|\x18\x0f)\d+Z(?:\x17\x0d|\x18\x0f)(\d+)Z")
PEM = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

Expiries = Mapping[str, datetime]  # when certificates expire, by the name in the check's data


@dataclass(frozen=True)
class Tls:
    """How to make a handshake of the check's own, because drivers do not show certificates.

    context: no other connection may use it.
    cert_file: the client's certificate in PEM format, if it has one.
    server_name: the host in the server's certificate, if it is not the one to connect to.
    """

    context: ssl.SSLContext
    cert_file: str | None = None
    server_name: str | None = None
    _asked: WeakSet[ssl.SSLObject] = field(default_factory=WeakSet, init=False)

    def __post_init__(self) -> None:
        """Note which servers ask for a certificate. There is no public way: Python 3.11 to 3.13."""

        def on_message(connection: ssl.SSLObject, *message: Any) -> None:
            if message[-2] == CERTIFICATE_REQUEST:
                self._asked.add(connection)

        self.context._msg_callback = on_message  # type: ignore[attr-defined]  # noqa: SLF001

    async def inspect(self, addresses: Iterable[tuple[str, int]], *, failed: bool) -> Expiries:
        """Make a handshake with each server. Raises OSError, or what makes connections fail.

        failed: a connection has failed. In TLS 1.3, servers reject clients after the handshake.
        """
        handshakes = (self._handshake(host, port, failed=failed) for host, port in addresses)
        found = await asyncio.gather(*handshakes, return_exceptions=True)
        errors = [each for each in found if isinstance(each, BaseException)]
        received = [each for each in found if isinstance(each, bytes)]
        explained = (error for error in errors if explain(error))
        if error := next(explained, None if received else errors[0]):
            raise error
        return certificates(min(received, key=expires_at), self.cert_file)

    async def _handshake(self, host: str, port: int, *, failed: bool) -> bytes:
        name = self.server_name or host
        async with asyncio.timeout(INSPECT_TIMEOUT):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=self.context, server_hostname=name
            )
            connection = writer.get_extra_info("ssl_object")
            try:
                # Some servers close the connection without an alert.
                if failed and await _is_closed(reader) and connection in self._asked:
                    kind, detail = REJECTED if self.cert_file else REQUIRED
                    raise kind(detail)
                return bytes(connection.getpeercert(binary_form=True))
            finally:
                writer.transport.abort()


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    """Return whether the server closes the connection. Raises SSLError if it says why."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ALERT_TIMEOUT):
            return await reader.read(1) == b""
    return False


def watch(check: Check, inspect: Callable[[bool], Awaitable[Expiries]]) -> Check:
    """Return the check with names for TLS failures, and a warning before a certificate expires.

    check: its function is asynchronous.
    inspect: returns when certificates expire, or raises. Its argument: whether the check failed.
    """
    found: Expiries = {}
    failure: PermanentFailure | None = None
    due = 0.0

    async def look(*, failed: bool) -> None:
        nonlocal found, failure, due
        failure, due = None, 0.0
        try:
            found = await inspect(failed)
        except Exception as error:
            failure = explain(error)  # until it succeeds, each attempt looks again
        else:
            due = asyncio.get_running_loop().time() + INSPECT_INTERVAL

    async def run() -> CheckResult:
        nonlocal failure, due
        try:
            returned = check.run()
            result = await returned if isinstance(returned, Awaitable) else returned
        except (PermanentFailure, TimeoutError):
            raise
        except Exception as error:
            if (named := explain(error)) is None:
                await look(failed=True)
                named = failure
            failure, due = None, 0.0
            raise named or error from None
        if asyncio.get_running_loop().time() >= due:
            await look(failed=False)
        return _add(result or CheckResult(), found, failure)

    return replace(check, run=run)


def _add(result: CheckResult, found: Expiries, failure: PermanentFailure | None) -> CheckResult:
    """Return a result with the certificates, and with a warning if one expires soon."""
    data = {**result.data, **{name: at.isoformat() for name, at in found.items()}}
    left = min(found.values(), default=datetime.max.replace(tzinfo=UTC)) - datetime.now(UTC)
    if failure:
        detail = f"open connections work, but new ones fail: {type(failure).__name__}"
    elif left < WARN_BEFORE:
        when = f"expires in {left.days} days" if left.days >= 0 else "has expired"
        detail = f"a certificate {when}"
    else:
        return replace(result, data=data)
    return CheckResult(Status.WARN, result.detail or detail, data)


def certificates(der: bytes, cert_file: str | None) -> Expiries:
    """Return when the server's certificate, and the client's if it has one, expire."""
    found = {"certificate_expires": expires_at(der)}
    if cert_file and (own := PEM.search(Path(cert_file).read_text("utf-8"))):
        found["client_certificate_expires"] = expires_at(ssl.PEM_cert_to_DER_cert(own[0]))
    return found


def expires_at(der: bytes) -> datetime:
    """Return `notAfter` of a certificate, which need not be verified."""
    found = VALIDITY.search(der)
    if not found:
        raise ValueError("not a certificate")
    text = found[1].decode()
    if len(text) == len("YYMMDDHHMMSS"):
        text = ("19" if text >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
