"""The rules of the health engine hold for every history: `make prove` tries a million steps."""

import logging
import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import Histories

STEPS = 50
"""Events in one history."""
TOTAL = int(os.environ.get("STEPS", "5000"))


def test_the_rules_of_the_engine_hold_for_every_history() -> None:
    logging.disable()
    try:
        try_histories()
    finally:
        logging.disable(logging.NOTSET)


def try_histories() -> None:
    plan = settings(
        max_examples=TOTAL // STEPS,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(Histories, settings=plan)
