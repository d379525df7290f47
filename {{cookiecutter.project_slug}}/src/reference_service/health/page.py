"""The page for a browser, which asks its own address for JSON, and who gets it."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from .asgi import Scope

JSON_TYPES = ("application/health+json", "application/json")

HERE = Path(__file__).parent
STYLE = HERE.joinpath("page.css").read_text("utf-8")
SCRIPT = HERE.joinpath("page.js").read_text("utf-8")
PAGE = (
    HERE.joinpath("page.html")
    .read_text("utf-8")
    .replace('<link rel="stylesheet" href="page.css">', f"<style>{STYLE}</style>")
    .replace('<script src="page.js"></script>', f"<script>{SCRIPT}</script>")
    .encode()
)


def _source(text: str) -> str:
    """Name an inline style or script in a policy (Content Security Policy Level 3, section 8.3)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


PAGE_HEADERS = [
    (
        b"content-security-policy",
        (
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            "connect-src 'self'; img-src data:; "
            f"script-src {_source(SCRIPT)}; style-src {_source(STYLE)}"
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
