"""Browsers get a page, other clients JSON. The page loads nothing and runs no foreign code."""

import base64
import hashlib
import re

import pytest

from reference_service.health import Check, Registry
from reference_service.health.asgi import Message
from reference_service.management import ManagementApp

from ..health.fakes import Dependency

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


async def get(path: str, *accept: str) -> tuple[int, dict[str, str], str]:
    """Return status code, headers and body."""
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"accept", value.encode()) for value in accept]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
    await ManagementApp(Registry([Check("database", Dependency().check)]))(scope, receive, send)
    start, body = sent
    response_headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], response_headers, body["body"].decode()


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ([BROWSER], "text/html; charset=utf-8"),
        (["text/html"], "text/html; charset=utf-8"),
        (["TEXT/HTML;Q=0.5 , application/json;q=0.4"], "text/html; charset=utf-8"),
        (["application/json;q=0.4", "text/html;level=1;q=0.5"], "text/html; charset=utf-8"),
        (["text/*"], "text/html; charset=utf-8"),
        ([], "application/health+json"),
        (["*/*"], "application/health+json"),
        ([""], "application/health+json"),
        (["application/health+json"], "application/health+json"),
        (["text/html;q=0, */*"], "application/health+json"),
        (["text/html;q=0.5, application/json"], "application/health+json"),
        (["text/html;q=0.5, application/*"], "application/health+json"),
        (["text/html, application/health+json"], "application/health+json"),
        (["text/html;q=much"], "application/health+json"),
    ],
)
async def test_client_that_prefers_html_gets_the_page_and_others_json(
    accept: list[str], media_type: str
) -> None:
    _, headers, _ = await get("/health", *accept)
    assert headers["content-type"] == media_type
    assert headers["vary"] == "accept"


async def test_page_has_status_200_and_json_has_the_status_of_ready() -> None:
    assert (await get("/health", BROWSER))[0] == 200
    assert (await get("/health"))[0] == 503  # the checks have not been started


@pytest.mark.parametrize("path", ["/health/ready", "/health/ready/database"])
async def test_browser_gets_probes_as_json(path: str) -> None:
    _, headers, _ = await get(path, BROWSER)
    assert headers["content-type"] == "application/health+json"
    assert "content-security-policy" not in headers


async def test_policy_allows_only_the_inline_script_and_style_and_the_own_address() -> None:
    _, headers, page = await get("/health", BROWSER)
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "script-src": hash_source(page, "script"),
        "style-src": hash_source(page, "style"),
    }


def hash_source(page: str, tag: str) -> str:
    (text,) = re.findall(f"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def test_page_loads_nothing_from_elsewhere() -> None:
    _, _, page = await get("/health", BROWSER)
    names = {"http://www.w3.org/2000/svg"}  # a namespace, which is not loaded
    assert set(re.findall(r"https?://[^\s\"'<>]+", page)) <= names
    assert not re.search(r"@import|\burl\(|\bimport\b|<(img|iframe|object|embed)\b|\bsrc=", page)
    assert set(re.findall(r'<link[^>]*href="([^"]*)"', page)) == {"data:,"}


async def test_page_never_inserts_html() -> None:
    _, _, page = await get("/health", BROWSER)
    assert not re.search(r"(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\b", page)


async def test_page_without_javascript_refers_to_the_text() -> None:
    _, _, page = await get("/health", BROWSER)
    (hint,) = re.findall("<noscript>(.*?)</noscript>", page, re.DOTALL)
    assert "text below" in hint
    assert 'href="/health/ready?verbose"' in page
