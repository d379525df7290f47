"""Each claim of docs/kubernetes.md names the tests that show it, and these tests exist."""

import re
from pathlib import Path

from project import TEMPLATE

from tools.generate import ROOT

from .test_tables import rows

CLAIMS = [
    (claim, evidence)
    for claim, evidence in rows(TEMPLATE / "docs" / "kubernetes.md", "What has been verified")
    if evidence
]


def text_of(folder: Path) -> str:
    return "\n".join(file.read_text("utf-8") for file in folder.rglob("*.py"))


def test_each_claim_names_a_test() -> None:
    assert len(CLAIMS) >= 40
    for claim, evidence in CLAIMS:
        assert re.search(r"`test_\w+`|`make faults`: \"", evidence), claim


def test_named_tests_and_faults_exist() -> None:
    defined = set(re.findall(r"def (test_\w+)\(", text_of(ROOT / "tests") + text_of(TEMPLATE)))
    faults = text_of(ROOT / "tests" / "faults")
    for claim, evidence in CLAIMS:
        assert set(re.findall(r"`(test_\w+)`", evidence)) <= defined, claim
        assert all(name in faults for name in re.findall(r'"([^"]+)"', evidence)), claim
