"""The page that shows `/health` to a browser, and the rule for who gets it."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from ..health.asgi import Scope

JSON_TYPES = ("application/health+json", "application/json")

HERE = Path(__file__).parent
STYLE = HERE.joinpath("page.css").read_text("utf-8")
SCRIPT = HERE.joinpath("page.js").read_text("utf-8")
MARKUP = HERE.joinpath("page.html").read_text("utf-8")
STYLED = MARKUP.replace('<link rel="stylesheet" href="page.css">', f"<style>{STYLE}</style>")
PAGE = STYLED.replace('<script src="page.js"></script>', f"<script>{SCRIPT}</script>").encode()


def _hash_source(text: str) -> str:
    """Return the CSP source that allows one inline style or script (CSP Level 3, section 8.3)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "connect-src 'self'; img-src data:; "
    f"script-src {_hash_source(SCRIPT)}; style-src {_hash_source(STYLE)}"
)
PAGE_HEADERS = [
    (b"content-security-policy", SECURITY_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


def prefers_html(scope: Scope) -> bool:
    """Tell whether a client prefers HTML to JSON. Browsers do; curl does not.

    RFC 9110, section 12.5.1: the most specific range that matches a type gives its weight.
    """
    accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
    weights = dict(map(_parse_range, accept.decode("latin-1").lower().split(",")))
    return _weight("text/html", weights) > max(_weight(json, weights) for json in JSON_TYPES)


def _parse_range(media_range: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip() for part in media_range.split(";"))
    weights = (parameter[2:] for parameter in parameters if parameter.startswith("q="))
    try:
        return media_type, float(next(weights, "1"))
    except ValueError:
        return media_type, 0.0


def _weight(media_type: str, weights: dict[str, float]) -> float:
    any_subtype = f"{media_type.partition('/')[0]}/*"
    ranges = (media_type, any_subtype, "*/*")
    return next((weights[each] for each in ranges if each in weights), 0.0)
