"""A secret in every setting that can hold one, found by the types of the settings."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from reference_service.environment import is_secret, sections, variables
from reference_service.settings import Settings

PARTS = ("zwerg", "NASE", "7rbis")
SECRET = 'zwerg"NASE\\ü7rbis'
"""A password with characters that are escaped in Python, in JSON and in URLs."""

URLS: dict[str, str] = {}
URLS["DATABASE_URL"] = "postgresql://127.0.0.1:1/app"  # feature: postgres
URLS["REDIS_URL"] = "redis://127.0.0.1:1/0"  # feature: redis

NEEDED: dict[str, str] = {}
"""The settings without which a secret would have no effect, so that it would be rejected."""
NEEDED["KAFKA_SECURITY_PROTOCOL"] = "SASL_PLAINTEXT"  # feature: kafka
NEEDED["KAFKA_SASL_USERNAME"] = "service"  # feature: kafka


def secret_variables() -> Iterator[str]:
    """Yield every variable whose value is secret."""
    for section in sections(Settings).values():
        fields = section.model_fields.values()
        for field, (name, _, _) in zip(fields, variables(section), strict=True):
            if is_secret(field.annotation):
                yield name


def plant(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a value with the secret for each of them, and what they need.

    URLs keep the address they have.
    """
    planted = dict(NEEDED)
    for name in secret_variables():
        planted[name] = SECRET
        if name.endswith("HEADERS"):
            planted[name] = f"authorization=Bearer%20{quote(SECRET)}"
        if url := environment.get(name) or URLS.get(name):
            scheme, _, rest = url.partition("://")
            address = rest.rpartition("@")[2]
            planted[name] = f"{scheme}://service:{quote(SECRET, safe='')}@{address}"
    return planted


def find_secret(text: str) -> list[str]:
    """Return the lines that contain a part of the secret."""
    return [line for line in text.splitlines() if any(part in line for part in PARTS)]
