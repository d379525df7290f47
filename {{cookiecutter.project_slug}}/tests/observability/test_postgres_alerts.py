"""The alert on the connection pool for PostgreSQL."""

from pathlib import Path

from .alerting import (
    INSTANCE_A,
    INSTANCE_B,
    MINUTE,
    Case,
    assert_fires_and_resolves,
    assert_ignores_blip,
)

POOL = "postgres_pool_connections"
SATURATED = Case(
    "PostgresPoolSaturated",
    {"severity": "ticket", "symptom": "pool", "instance": "a:9000"},
    {
        f"{POOL}_in_use{{{INSTANCE_A}}}": (5, 10),
        f"{POOL}_max{{{INSTANCE_A}}}": (10, 10),
        f"{POOL}_in_use{{{INSTANCE_B}}}": (9, 9),
        f"{POOL}_max{{{INSTANCE_B}}}": (10, 10),
    },
    duration=7 * MINUTE,
    pending_after=MINUTE,
    firing_after=6 * MINUTE,
    resolved_after=MINUTE,
    blip=(0, MINUTE),
)


def test_pool_saturated_for_five_minutes_alerts(tmp_path: Path) -> None:
    assert_fires_and_resolves(SATURATED, tmp_path)


def test_pool_saturated_for_one_evaluation_does_not_alert(tmp_path: Path) -> None:
    assert_ignores_blip(SATURATED, tmp_path)
