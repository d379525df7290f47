"""The tables in documents say what the code says."""

import ast
import json
import re
from pathlib import Path

import pytest
from project import TEMPLATE

from tools import settings_table
from tools.generate import ROOT, set_up

PACKAGE = TEMPLATE / "src" / "reference_service"
ENGINE = {"Draining", "Pending", "Stale", "TimeoutError"}
"""What the engine itself finds wrong with a check, or with the service."""


def rows(document: Path, section: str) -> list[list[str]]:
    """Return the cells of the table in a section of a document, without its head."""
    text = document.read_text("utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[1:]]


@pytest.mark.service
def test_the_table_of_settings_is_that_of_the_settings_classes() -> None:
    """`make docs` writes it."""
    set_up(TEMPLATE)
    assert settings_table.DOCUMENT.read_text("utf-8") == settings_table.document()


def test_the_readme_tells_of_every_question_and_its_default() -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    told: dict[str, str] = {}
    for names, default, _ in rows(ROOT / "README.md", "Options"):
        told |= dict.fromkeys(re.findall(r"`(\w+)`", names), default.strip("`"))
    assert list(told) == [name for name in questions if not name.startswith("_")]
    for name, default in told.items():
        match questions[name]:
            case bool(chosen):
                assert default == ("yes" if chosen else "no"), name
            case [first, *_]:
                assert default == first
            case str(text) if default and not text.startswith("{{"):
                assert default == text


def test_every_fault_that_a_check_can_find_is_explained_under_a_red_probe() -> None:
    table = rows(TEMPLATE / "README.md", "When a probe is red")
    explained = {name for says, *_ in table for name in re.findall(r"\w+", says)}
    assert faults() > {"NoLeader", "ReadOnly", "SentinelDown"}
    assert ENGINE | faults() <= explained


def faults() -> set[str]:
    """Return the names of all exceptions by which our checks fail."""
    classes = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    bases = {"CheckFailed"}
    while more := {name for name, of in classes.items() if of & bases} - bases:
        bases |= more
    return bases - {"CheckFailed", "PermanentFailure"}
