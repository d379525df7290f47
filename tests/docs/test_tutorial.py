"""The tutorial can be followed as written, in a new service with the defaults."""

from pathlib import Path

import pytest
from project import TEMPLATE, generate_in

from tools.generate import environment

from .ports import free_ports
from .walkthrough import Command, Reader, steps

TUTORIAL = Path("docs/tutorial.md")


@pytest.mark.service
def test_each_step_works_as_written(tmp_path: Path) -> None:
    service = generate_in(tmp_path)
    variables = environment() | {"WORKERS": "2"}  # another service may run at the same time
    with Reader(service, variables, free_ports()) as reader:
        for step in steps((service / TUTORIAL).read_text("utf-8")):
            reader.perform(step)


def test_the_tests_fail_before_the_code_exists_and_pass_after() -> None:
    tutorial = steps((TEMPLATE / TUTORIAL).read_text("utf-8"))
    runs = [step for step in tutorial if isinstance(step, Command) and "make test" in step.line]
    assert [run.shown[-1] for run in runs] == ["4 failed", "4 passed"]
