"""Each claim of the README has a row on the evidence page: a command, and when it last ran."""

import re
import shlex
from datetime import date

from project import TEMPLATE

from tools.generate import ROOT

from .test_tables import rows

README = (ROOT / "README.md").read_text("utf-8")
EVIDENCE = ROOT / "docs" / "evidence.md"
NAME = re.compile(r"<!-- claim: ([a-z-]+) -->")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def claims() -> list[list[str]]:
    return rows(EVIDENCE, "Claims of the README")


def test_each_claim_of_the_readme_has_one_row() -> None:
    named = NAME.findall(README)
    assert sorted(named) == sorted(name.strip("`") for name, *_ in claims())
    assert len(set(named)) == len(named)


def test_each_comparison_and_feature_is_a_claim() -> None:
    table = README.split("\n|---|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    features = [line for line in section("Features").splitlines() if line.startswith("- ")]
    assert len(table) == 5
    assert len(features) == 6
    for line in [*table, *features]:
        assert NAME.search(line), line


def test_each_paragraph_with_a_figure_is_a_claim() -> None:
    for title in ("Evidence", "Update a service"):
        for paragraph in section(title).strip().split("\n\n"):
            if re.search(r"(?<![.\w])\d", re.sub(r"\(.*?\)", "", paragraph)):
                assert NAME.search(paragraph), paragraph


def test_each_row_has_a_command_that_exists_and_a_date() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8")))
    names_of_faults = "".join(
        path.read_text("utf-8") for path in (ROOT / "tests" / "faults").glob("break_*.py")
    )
    for name, _, code, day in claims():
        program, *arguments = shlex.split(code.strip("`"))
        folder = TEMPLATE if arguments[0] == "-C" else ROOT
        assert program == ".build/tools/bin/pytest" or targets.intersection(arguments), name
        for argument in arguments:
            path = argument.removeprefix("ARGS=")
            assert not path.startswith("tests/") or (folder / path).exists(), name
            if "faults" in arguments and path.startswith("--only "):
                assert path.removeprefix("--only ") in names_of_faults, name
        assert date.fromisoformat(day) <= date.today(), name  # noqa: DTZ011
