"""The comparison measures what it says, and its page has each library, fault and pinned version."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from faults.probe_client import ProbeResponse
from packaging.requirements import Requirement
from patterns.pages import read_page
from supervised import run_supervised

from tools.generate import ROOT, environment

from .costs import code_lines
from .during_faults import Times, outcome
from .libraries import HOSTS, LIBRARIES
from .page import PAGE
from .servers import FAULTS

OTHER_TABLES = ("libraries", "purposes", "flood", "costs")
FAULT_TIMES = Times(injected=10.0, repairing=20.0, repaired=21.0)


def responses(*rows: tuple[float, float, int]) -> list[ProbeResponse]:
    return [ProbeResponse(sent_at, code, duration) for sent_at, duration, code in rows]


def test_fault_is_detected_when_a_probe_that_fails_ends() -> None:
    seen = responses((9, 0.1, 200), (9.9, 5.0, 503), (15, 4.0, 503), (19.5, 3.0, 200))
    found = outcome(seen, FAULT_TIMES, 500)
    assert (found.detected, found.recovered) == pytest.approx((4.9, 1.5))
    assert (found.codes, found.slowest) == ([503], 5.0)


def test_probe_that_passes_throughout_never_detects_the_fault() -> None:
    found = outcome(responses((9, 0.1, 200), (12, 0.1, 204), (22, 0.1, 200)), FAULT_TIMES, 500)
    assert (found.detected, found.recovered) == (None, None)
    assert found.codes == [204]


def test_probe_without_a_response_counts_as_a_failure() -> None:
    found = outcome(responses((10, 9.5, 0), (22, 0.1, 200)), FAULT_TIMES, 0)
    assert found.detected == pytest.approx(9.5)
    assert found.codes == [0]


def test_probe_that_fails_after_the_repair_has_not_recovered() -> None:
    seen = responses((11, 0.1, 503), (22, 0.1, 200), (23, 0.1, 503), (24, 0.1, 200))
    assert outcome(seen, FAULT_TIMES, 500).recovered == pytest.approx(3.1)
    assert outcome(seen[:-1], FAULT_TIMES, 500).recovered is None


def test_lines_of_code_exclude_the_docstring_comments_and_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "host.py"
    file.write_text('"""One\n\ntwo."""\n\nimport os\n\n# why\nos.getpid()  # who\n', "utf-8")
    assert code_lines(file) == 2


def test_the_engine_is_added_as_its_pages_say() -> None:
    pages = read_page("check-postgres") + read_page("check-redis")
    added = (HOSTS / "with_candid.py").read_text("utf-8").split("\n\n\n")[1:]
    differing = ("cache_check = ", "registry = ")
    lines = [line for each in added for line in each.splitlines() if line]
    missing = [line for line in lines if line not in pages and not line.startswith(differing)]
    assert len(lines) > 10
    assert missing == []


def test_page_has_each_library_in_each_table_and_fault() -> None:
    page = PAGE.read_text("utf-8")
    for library in LIBRARIES:
        assert page.count(f"\n| {library.name} |") == len(FAULTS) + len(OTHER_TABLES)


def test_versions_on_the_page_satisfy_the_requirements() -> None:
    page = PAGE.read_text("utf-8")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    required = {each.name: each for each in map(Requirement, groups["comparison"])}
    for library in LIBRARIES:
        if library.package:
            version = re.search(rf"^\| {library.name} \| ([\d.]+) \|", page, re.MULTILINE)
            assert version, library.name
            assert required[library.package].specifier.contains(version[1]), library.name


@pytest.mark.service
def test_quick_run_measures_one_library_in_one_fault(tmp_path: Path) -> None:
    before = PAGE.read_bytes()
    command = ["make", "--no-print-directory", "-C", str(ROOT), "comparison"]
    status, output = run_supervised(
        [*command, f"ARGS=--quick --to {tmp_path}"], env=environment(), timeout=500
    )
    assert status == 0, output
    results = json.loads((tmp_path / "comparison.json").read_text("utf-8"))["results"]
    versions, costs, fault, flood = results
    assert versions["versions"]["fast-healthchecks"]
    assert costs["lines"] > 0
    assert fault["fault"] == "PostgreSQL is stopped"
    assert fault["codes"] == [503]
    assert fault["recovered"] is not None
    assert fault["write"] == 500
    assert sum(flood["codes"].values()) == 10
    assert flood["highest"]["tasks"] > flood["before"]["tasks"]
    assert PAGE.read_bytes() == before
