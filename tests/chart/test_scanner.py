"""The scanner checkov finds no weak setting without an exception and its reason."""

import copy
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.generate import ROOT

from .cases import SERVICES, options
from .conftest import Charts, skip_or_fail
from .helm import Object

CHECKOV = ROOT / ".build" / "scanner" / "bin" / "checkov"
EXCEPTION = "checkov.io/skip"


@dataclass(frozen=True)
class Finding:
    """The result of one check for an object or a file."""

    folder: str
    check: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Findings:
    """Passed checks by kind, failed checks, and failed checks with an exception."""

    passed: dict[str, int]
    failed: list[Finding]
    excepted: list[Finding]


@pytest.fixture(scope="module")
def findings(charts: Charts, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Scan everything in one run, in one folder per group.

    with: every object that the charts can render. without: the default objects without their
    exceptions. weak: a privileged container. service, template: files with other kinds of checks.
    """
    if not CHECKOV.exists():
        skip_or_fail("checkov is not installed: `make test` installs it")
    folder = tmp_path_factory.mktemp("scan")
    objects = {
        yaml.safe_dump(thing): thing
        for service in SERVICES
        for values in options(charts(service)).values()
        for thing in charts(service).objects(values)
        if thing["kind"] != "PrometheusRule"  # large, and checkov has no checks for it
    }
    for number, thing in enumerate(objects.values()):
        write(folder / "with" / f"{number}.yaml", thing)
    for number, thing in enumerate(charts("defaults").objects()):
        write(folder / "without" / f"{number}.yaml", without_exceptions(thing))
        if thing["kind"] == "Deployment":
            (container,) = thing["spec"]["template"]["spec"]["containers"]
            container["securityContext"]["privileged"] = True
            write(folder / "weak" / "deployment.yaml", thing)
    service = charts("everything").folder.parents[1]
    shutil.copytree(service / ".github", folder / "service" / ".github")
    shutil.copy(service / "Dockerfile", folder / "service")
    shutil.copytree(ROOT / ".github", folder / "template" / ".github")
    frameworks = ("kubernetes", "dockerfile", "github_actions")
    ended = subprocess.run(
        [CHECKOV, "-d", ".", "--framework", *frameworks, "--skip-download", "-o", "json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.startswith("["), ended.stderr
    reports = json.loads(ended.stdout)
    assert not [report for report in reports if report["summary"]["parsing_errors"]]
    return Findings(
        passed={report["check_type"]: report["summary"]["passed"] for report in reports},
        failed=list(read(reports, "failed_checks")),
        excepted=list(read(reports, "skipped_checks")),
    )


def write(file: Path, thing: Object) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(thing), "utf-8")


def without_exceptions(thing: Object) -> Object:
    """Return a copy of an object without its exceptions."""
    other = copy.deepcopy(thing)
    annotations = other["metadata"].get("annotations") or {}
    for name in [name for name in annotations if name.startswith(EXCEPTION)]:
        del annotations[name]
    return other


def read(reports: list[dict[str, Any]], outcome: str) -> Iterator[Finding]:
    for report in reports:
        for record in report["results"][outcome]:
            folder = record["file_path"].split("/")[1]
            reason = record["check_result"].get("suppress_comment") or ""
            yield Finding(folder, record["check_id"], record["resource"].split(".")[0], reason)


def test_no_check_fails(findings: Findings) -> None:
    assert [each for each in findings.failed if each.folder not in {"without", "weak"}] == []
    assert findings.passed.keys() == {"kubernetes", "dockerfile", "github_actions"}
    assert findings.passed["kubernetes"] > 1000


def test_exceptions_match_failures_without_them(findings: Findings) -> None:
    needed = {(each.kind, each.check) for each in findings.failed if each.folder == "without"}
    assert {(each.kind, each.check) for each in findings.excepted} == needed


def test_exceptions_have_reasons(findings: Findings) -> None:
    assert findings.excepted
    for exception in findings.excepted:
        assert len(exception.reason.split()) > 3, exception


def test_privileged_container_is_reported(findings: Findings) -> None:
    assert Finding("weak", "CKV_K8S_16", "Deployment", "") in findings.failed
