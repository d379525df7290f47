"""Hide secrets in everything that leaves the process: log lines, responses and traces.

Messages of drivers and servers can contain secrets: a server may repeat the command that logs in.
"""

import json
import re
import string
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import takewhile
from urllib.parse import quote, quote_plus, unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MASK = "***"
MIN_LENGTH = 4  # a shorter secret is not hidden: it would hide parts of ordinary words
WORD_LENGTH = 8  # a shorter one is only hidden where no letter or digit adjoins it
START_LENGTH = 16  # characters that suffice to find a longer one: servers cut off long messages

CREDENTIALS = re.compile(r"://([^:/?#@]*):(.+)@|[?&]\w*password=()([^&#]+)", re.DOTALL)
AUTHORITY = re.compile(r"[\w+.-]+://[^/?#]*")
HEADERS = re.compile(r"[\w-]+=[^,]+(?:,\s*[\w-]+=[^,]+)*", re.ASCII)

COMMON = frozenset(string.ascii_lowercase + string.digits + string.punctuation + " \n" + "GETPOSZ")

_forms: dict[tuple[str, str], set[str]] = {}
"""The forms of each secret, by the rarest character and the key that all of them contain."""


def hide(secret: str) -> None:
    """Hide a secret from now on, in each form in which a message may contain it.

    Of a URL this hides the password, and of a list like `a=b,c=d` the values. A password that is
    also the user's name is not hidden.
    """
    if AUTHORITY.match(secret):
        hide_credentials(secret)
        path = AUTHORITY.sub("", secret)
        if len(path) >= START_LENGTH and not CREDENTIALS.search(secret):
            _add([path])  # as in the URL of a webhook
        return
    pairs = secret.split(",") if HEADERS.fullmatch(secret) else []
    values = [unquote(pair.partition("=")[2]) for pair in pairs]
    _add([secret, *values, *(value.rpartition(" ")[2] for value in values)])  # not `Bearer`


def hide_credentials(text: str) -> None:
    """Hide the password if a text is a URL that has one."""
    for user, password, *query in CREDENTIALS.findall(text):
        secret = password or query[-1]
        if unquote(secret) != unquote(user):
            basic = f"{unquote(user)}:{unquote(secret)}"  # as in HTTP's Basic authentication
            _add([secret, unquote(secret), b64encode(basic.encode()).decode()])


def redact(text: str) -> str:
    """Return the text with `***` in place of each secret."""
    # The first test makes ordinary lines fast. The copy is for other threads, which may add more.
    found = [forms for (rare, key), forms in [*_forms.items()] if rare in text and key in text]
    if not found:
        return text
    longest_first = sorted(set().union(*found), key=len, reverse=True)
    for form in longest_first:
        text = _mask_all(text, form)
    for form in longest_first:  # after all that are complete: some begin alike
        text = _mask_starts(text, form)
    return text


def redact_bytes(body: bytes) -> bytes:
    """Return the UTF-8 text with `***` in place of each secret."""
    return redact(body.decode(errors="surrogateescape")).encode(errors="surrogateescape")


class RedactedResponses:
    """Hide secrets in all responses of an ASGI application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. The response is not compressed, so that it can be searched."""
        start: Message = {}

        async def send_redacted(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message  # sent with the body, because its length may change
                return
            body = redact_bytes(message.get("body", b""))
            if start:
                headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                if not message.get("more_body"):
                    headers.append((b"content-length", str(len(body)).encode()))
                await send({**start, "headers": headers})
                start = {}
            await send({**message, "body": body})

        headers = [pair for pair in scope.get("headers", ()) if pair[0] != b"accept-encoding"]
        await self.app({**scope, "headers": headers}, receive, send_redacted)


def _add(secrets: Iterable[str]) -> None:
    for secret in secrets:
        if len(secret) >= MIN_LENGTH:
            runs = re.findall(r"[A-Za-z0-9]+", secret[:START_LENGTH]) or [""]
            key = max(runs, key=len)  # nothing escapes it
            rare = next((character for character in key if character not in COMMON), "")
            _forms.setdefault((rare, key), set()).update(_escaped(secret))


def _escaped(secret: str) -> Iterator[str]:
    """Yield the forms of a secret: in a URL, in Python's `repr`, and each of them in JSON."""
    quoted = [quote(secret), quote(secret, safe=""), quote_plus(secret)]
    for form in (secret, *quoted, repr(secret)[1:-1], repr(secret.encode())[2:-1]):
        yield form
        yield json.dumps(form)[1:-1]
        yield json.dumps(form, ensure_ascii=False)[1:-1]


def _mask_all(text: str, form: str) -> str:
    if len(form) >= WORD_LENGTH:
        return text.replace(form, MASK)
    word = rf"(?:(?<![^\W_])|(?<=\\[nrt])){re.escape(form)}(?![^\W_])"
    return re.sub(word, MASK, text)


def _mask_starts(text: str, form: str) -> str:
    start = text.find(form[:START_LENGTH]) if len(form) > START_LENGTH else -1
    while start >= 0:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(text[start:], form, strict=False))
        text = text[:start] + MASK + text[start + len(list(same)) :]
        start = text.find(form[:START_LENGTH], start + len(MASK))
    return text
