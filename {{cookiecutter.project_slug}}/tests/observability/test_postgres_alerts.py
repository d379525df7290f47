"""The alert on the pool of connections to PostgreSQL."""

from pathlib import Path

from .alerting import (
    HERE,
    MINUTE,
    THERE,
    Case,
    fires_and_resolves,
    outlives_a_blip,
)

POOL = "postgres_pool_connections"
SATURATED = Case(
    "PostgresPoolSaturated",
    {"severity": "ticket", "symptom": "pool", "instance": "a:9000"},
    {
        f"{POOL}_in_use{{{HERE}}}": (5, 10),
        f"{POOL}_max{{{HERE}}}": (10, 10),
        f"{POOL}_in_use{{{THERE}}}": (9, 9),
        f"{POOL}_max{{{THERE}}}": (10, 10),
    },
    lasts=7 * MINUTE,
    sees=MINUTE,
    fires=6 * MINUTE,
    gone=MINUTE,
    blip=(0, MINUTE),
)


def test_a_pool_that_stays_full_is_told_of(tmp_path: Path) -> None:
    fires_and_resolves(SATURATED, tmp_path)


def test_a_pool_that_is_full_for_a_moment_is_not(tmp_path: Path) -> None:
    outlives_a_blip(SATURATED, tmp_path)
