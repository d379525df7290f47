"""The tutorial does, in a new service with the defaults, what it says that it does."""

from pathlib import Path

import pytest
from project import TEMPLATE, generate_in

from tools.generate import environment

from .ports import free_ports
from .tutorial import Command, Reader, steps

TUTORIAL = Path("docs/tutorial.md")


@pytest.mark.service
def test_every_step_can_be_taken_as_it_is_written_and_shows_what_it_says(tmp_path: Path) -> None:
    service = generate_in(tmp_path)
    ours = environment() | {"WORKERS": "2"}  # there may be another one beside it
    with Reader(service, ours, free_ports()) as reader:
        for step in steps((service / TUTORIAL).read_text("utf-8")):
            reader.do(step)


def test_the_tests_fail_before_the_code_is_there_and_pass_then() -> None:
    taken = list(steps((TEMPLATE / TUTORIAL).read_text("utf-8")))
    runs = [step for step in taken if isinstance(step, Command) and "make test" in step.line]
    assert [run.shown[-1] for run in runs] == ["3 failed", "3 passed"]


def test_a_block_of_which_nobody_says_what_it_is_for_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody says what to do"):
        list(steps("Then:\n\n```python\nprint(1)\n```\n"))


def test_what_is_not_seen_is_not_passed_over(tmp_path: Path) -> None:
    with Reader(tmp_path, environment(), (1, 2)) as reader:
        reader.do(Command("echo one two", ("two",)))
        with pytest.raises(AssertionError, match="one two"):
            reader.do(Command("echo one two", ("three",)))
        with pytest.raises(AssertionError):
            reader.do(Command("false", ()))
