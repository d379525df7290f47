"""The page for a browser: one file that asks its own address for JSON, and what may be in it."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from .asgi import Scope

JSON_TYPES = ("application/health+json", "application/json")

PAGE = Path(__file__).with_name("page.html").read_bytes()


def _source(tag: bytes) -> str:
    """Return the hash by which a browser knows the one inline element of this name as ours.

    Content Security Policy Level 3, section 8.3.
    """
    found = re.search(rb"<%b>(.*?)</%b>" % (tag, tag), PAGE, re.DOTALL)
    return f"'sha256-{b64encode(sha256(found[1]).digest()).decode()}'" if found else "'none'"


PAGE_HEADERS = [
    (
        b"content-security-policy",
        (
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            f"connect-src 'self'; img-src data:; "
            f"script-src {_source(b'script')}; style-src {_source(b'style')}"
        ).encode(),
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


def wants_page(scope: Scope) -> bool:
    """Tell whether a request prefers HTML to JSON, as a browser's does and curl's does not.

    RFC 9110, section 12.5.1: of the ranges that match a type, the most specific one has its weight.
    """
    accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
    weights = dict(map(_weight, accept.decode("latin-1").lower().split(",")))
    return _quality("text/html", weights) > max(_quality(kind, weights) for kind in JSON_TYPES)


def _weight(media_range: str) -> tuple[str, float]:
    kind, *parameters = (part.strip() for part in media_range.split(";"))
    given = (parameter[2:] for parameter in parameters if parameter.startswith("q="))
    try:
        return kind, float(next(given, "1"))
    except ValueError:
        return kind, 0.0


def _quality(kind: str, weights: dict[str, float]) -> float:
    family = kind.partition("/")[0]
    matching = (weights[each] for each in (kind, f"{family}/*", "*/*") if each in weights)
    return next(matching, 0.0)
