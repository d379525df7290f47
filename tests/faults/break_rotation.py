"""Rotate what the service proves itself with, and what it trusts, while it runs."""

from .environment import PLANTED, Environment
from .harness import DETECTION, Fault
from .pooler import no_pooler
from .postgres_actions import DISCONNECT_SERVICE, restore_password
from .probe_client import OK

NEW_PASSWORD = f"{PLANTED}-rotated"
URL_FILE = {"DATABASE_URL": "", "DATABASE_URL_FILE": "{folder}/database-url"}
MAX_FAILURES = 12
"""Requests that are interrupted when every session ends: two of each kind."""


def rotate_password(env: Environment) -> None:
    """Change the password and the file that has it, and end every session."""
    password = env.postgres.url.split(":")[2].split("@")[0]
    url = env.variables["DATABASE_URL"].replace(f":{password}@", f":{NEW_PASSWORD}@")
    env.postgres.sql(f"ALTER ROLE service PASSWORD '{NEW_PASSWORD}'")
    env.url_file.write_text(url)
    env.postgres.sql(DISCONNECT_SERVICE)


def rotate_password_back(env: Environment) -> None:
    """Change both back, and end every session."""
    restore_password(env)
    env.url_file.write_text(env.variables["DATABASE_URL"])
    env.postgres.sql(DISCONNECT_SERVICE)


def rotate_certificate(env: Environment) -> None:
    """Replace the certificate of the pooler, which is its own authority, and restart it."""
    env.pooler.renew_certificate()
    env.pooler.restart()


PASSWORD = [
    Fault(
        "PostgreSQL password is rotated in its file, and all sessions end (still ready)",
        rotate_password,
        rotate_password_back,
        ready_code=OK,
        max_failures=MAX_FAILURES,
        allowed_codes=frozenset({503}),
        hold=DETECTION,
        settings=URL_FILE,
    ),
]
CERTIFICATE = [
    Fault(
        "Certificate and authority of PgBouncer are rotated, and it restarts (still ready)",
        rotate_certificate,
        ready_code=OK,
        max_failures=MAX_FAILURES,
        allowed_codes=frozenset({503}),
        hold=DETECTION,
        needs=no_pooler,
        settings=URL_FILE,
    ),
]
