"""The tables in documents agree with the code."""

import ast
import json
import re
from pathlib import Path

import pytest
from project import TEMPLATE

from tools import settings_table
from tools.generate import ROOT, set_up

PACKAGE = TEMPLATE / "src" / "reference_service"
ENGINE_ERRORS = {"Draining", "Pending", "Stale", "Starting", "TimeoutError", "Unresponsive"}
"""Errors of the engine itself, for a check or for the service."""


def rows(document: Path, section: str) -> list[list[str]]:
    """Return the cells of the tables in a section of a document, without their header rows."""
    text = document.read_text("utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = re.sub(r"(?m)^\|.*\n(?=\|---)", "", text).splitlines()
    return [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")
    ]


@pytest.mark.service
def test_the_settings_page_is_generated_from_the_settings_classes() -> None:
    """`make docs` writes it."""
    set_up(TEMPLATE)
    assert settings_table.DOCUMENT.read_text("utf-8") == settings_table.document()


def test_the_readme_lists_each_question_with_its_default() -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    listed: dict[str, str] = {}
    for names, default, _ in rows(ROOT / "README.md", "Options"):
        listed |= dict.fromkeys(re.findall(r"`(\w+)`", names), default.strip("`"))
    assert list(listed) == [name for name in questions if not name.startswith("_")]
    for name, default in listed.items():
        match questions[name]:
            case bool(chosen):
                assert default == ("yes" if chosen else "no"), name
            case [first, *_]:
                assert default == first
            case str(text) if default and not text.startswith("{{"):
                assert default == text


def test_troubleshooting_explains_each_error_of_a_check() -> None:
    document = TEMPLATE / "docs" / "troubleshooting.md"
    tables = rows(document, "A check fails") + rows(document, "A probe is red and no check fails")
    explained = {name for error, *_ in tables for name in re.findall(r"\w+", error)}
    assert check_errors() > {"NoLeader", "ReadOnly", "SentinelDown"}
    assert explained >= ENGINE_ERRORS | check_errors()


def check_errors() -> set[str]:
    """Return the names of all exceptions that the checks of the template raise."""
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
