"""The check of another service over HTTP, and what the responses of its readiness mean."""

import asyncio
import json
import ssl
import time

import httpx

from ..health import Check, CheckFailed, CheckResult, Status

MAX_BODY_BYTES = 65_536  # the response of a readiness endpoint is shorter
RECONNECT_INTERVAL = 60.0  # seconds: an open connection works with an old certificate and address
HEADERS = {"accept": "application/health+json, */*;q=0.5", "accept-encoding": "identity"}
IMPACT_REASON = "requests that do not need the other service succeed"

# The values of `status`, with the aliases in the draft of application/health+json.
FAILING, WARNING, PASSING = {"fail", "error", "down"}, {"warn"}, {"pass", "ok", "up"}


class CertificateInvalid(CheckFailed):
    """The certificate has expired, is for another host, or is not trusted."""


class NotReady(CheckFailed):
    """The service responds, and reports that it is not ready."""


class Redirected(CheckFailed):
    """The response is a redirect, for example to a log-in page."""


class UnexpectedResponse(CheckFailed):
    """The response is not from a readiness endpoint: for example, an HTML page with status 200."""


def http_check(
    client: httpx.AsyncClient, url: str, *, name: str, certificate_days: float = 14
) -> Check:
    """Return the check that another service is ready. By default, a failure only warns.

    client: for this check alone, without timeouts: the engine bounds each attempt.
    url: the readiness endpoint of the other service. A redirect is not followed.
    certificate_days: the check warns if the certificate expires sooner.
    """
    close_at: float | None = None

    async def check() -> CheckResult:
        nonlocal close_at
        now, headers = asyncio.get_running_loop().time(), HEADERS
        if close_at is None:
            close_at = now + RECONNECT_INTERVAL
        elif now >= close_at:  # the next attempt opens a new connection
            close_at, headers = None, {**HEADERS, "connection": "close"}
        exchange = client.stream("GET", url, headers=headers, follow_redirects=False)
        try:
            async with exchange as response:
                days = _certificate_days(response)
                if days is not None and days < certificate_days:
                    close_at = close_at and now  # to find a new certificate soon
                return await _judge(response, days, certificate_days)
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise CertificateInvalid("the certificate cannot be verified") from None
            raise

    attributes = {"http.request.method": "GET"}
    return Check(name, check, Status.WARN, IMPACT_REASON, attributes=attributes)


async def _judge(response: httpx.Response, days: float | None, min_days: float) -> CheckResult:
    """Return a pass or a warning, or raise CheckFailed."""
    data = {"code": response.status_code, "certificate_days": days and round(days, 1)}
    if days is not None and days <= 0:
        raise CertificateInvalid("the certificate has expired", **data)
    if response.is_redirect:
        raise Redirected("the response is a redirect", **data)
    if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise NotReady("the service is not ready", **data)
    status = await _read_status(response) if response.is_success else None
    if status is None:
        raise UnexpectedResponse("the response is not from a readiness endpoint", **data)
    if status in FAILING:
        raise NotReady("the service reports a failure", **data)
    if status in WARNING:
        return CheckResult(Status.WARN, "the service reports a warning", data)
    if days is not None and days < min_days:
        return CheckResult(Status.WARN, "the certificate expires soon", data)
    return CheckResult(data=data)


async def _read_status(response: httpx.Response) -> str | None:
    """Return the member `status` of the body, "" if it needs none, or None if it is invalid."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if "html" in media_type or body.lstrip()[:9].lower().startswith((b"<html", b"<!doctype")):
        return None
    if not media_type.endswith(("/json", "+json")):
        return ""
    try:
        status = str(json.loads(body)["status"]).lower()
    except (ValueError, RecursionError):
        return None
    except (KeyError, TypeError):
        status = ""
    known = status in FAILING | WARNING | PASSING
    return None if media_type == "application/health+json" and not known else status


def _certificate_days(response: httpx.Response) -> float | None:
    """Return the days until the certificate expires, or None if no certificate is verified."""
    tls = response.extensions["network_stream"].get_extra_info("ssl_object")
    expires = ((tls and tls.getpeercert()) or {}).get("notAfter")
    return (ssl.cert_time_to_seconds(expires) - time.time()) / 86_400 if expires else None
