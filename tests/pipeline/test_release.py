"""The release workflow publishes only what was scanned, signs it, and deploys it by digest.

GitHub is not available here, so actions are checked against the inputs that they document. The
commands are run in test_release_commands.py.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import TEMPLATE, generate_in

from hooks.post_gen_project import FEATURES
from pipeline.repository import steps, workflows

NOTHING: dict[str, object] = {feature: feature == "github" for feature in FEATURES}

# What each job may do. Only two jobs have an identity that signs, and neither builds.
PERMISSIONS = {
    "image": {"contents": "read", "packages": "write"},
    "scan": {"packages": "read"},
    "sign": {"attestations": "write", "id-token": "write", "packages": "write"},
    "chart": {"contents": "read", "id-token": "write", "packages": "write"},
    "deploy": {"contents": "read", "packages": "read"},
}
DOCUMENTED = yaml.safe_load(Path(__file__).with_name("actions.yaml").read_text("utf-8"))
JOBS = workflows(TEMPLATE)["release.yml"]["jobs"]


def uses(job: str, action: str) -> list[dict[str, Any]]:
    """Return the inputs of each use of an action in a job."""
    return [
        step.get("with", {})
        for step in JOBS[job]["steps"]
        if step.get("uses", "").partition("@")[0] == action
    ]


def needed(job: str) -> set[str]:
    """Return all jobs that must have succeeded before a job."""
    direct = JOBS[job].get("needs", [])
    names = {direct} if isinstance(direct, str) else set(direct)
    return names.union(*(needed(name) for name in names))


def test_actions_document_each_used_input_and_output() -> None:
    text = (TEMPLATE / ".github/workflows/release.yml").read_text("utf-8")
    found = set()
    for step in steps(TEMPLATE):
        action = step.content.get("uses", "")
        if step.workflow == "release.yml" and action in DOCUMENTED:
            found.add(action)
            assert step.content.get("with", {}).keys() <= set(DOCUMENTED[action]["inputs"])
            used = re.findall(rf"steps\.{step.content.get('id')}\.outputs\.([\w-]+)", text)
            assert set(used) <= set(DOCUMENTED[action]["outputs"])
    assert found == DOCUMENTED.keys(), "After an update of an action, compare its inputs."


def test_each_job_has_only_the_permissions_that_it_needs() -> None:
    assert {name: job["permissions"] for name, job in JOBS.items()} == PERMISSIONS


def test_only_scanned_image_is_signed_and_only_signed_image_is_deployed() -> None:
    assert "scan" in needed("sign")
    assert "sign" in needed("chart")
    assert "chart" in needed("deploy")
    (scan,) = uses("scan", "anchore/scan-action")
    assert (scan["fail-build"], scan["severity-cutoff"]) == (True, "high")


def test_build_and_list_of_packages_are_attested() -> None:
    (listed,) = uses("scan", "anchore/sbom-action")
    (loaded,) = uses("sign", "actions/download-artifact")
    provenance, packages = uses("sign", "actions/attest")
    assert listed["output-file"] == packages["sbom-path"] == "sbom.spdx.json"
    assert listed["artifact-name"] == loaded["name"]
    assert "sbom-path" not in provenance  # then it is SLSA provenance
    assert provenance["push-to-registry"] is packages["push-to-registry"] is True


def test_image_is_named_by_its_digest_after_the_push() -> None:
    """A tag can be moved between two jobs."""
    (pushed,) = uses("image", "docker/build-push-action")
    assert (pushed["push"], pushed["provenance"]) == (True, "mode=max")
    name, digest = "${{ needs.image.outputs.name }}", "${{ needs.image.outputs.digest }}"
    for action in ("anchore/sbom-action", "anchore/scan-action"):
        (scanned,) = uses("scan", action)
        assert scanned["image"] == f"{name}@{digest}"
    for attested in uses("sign", "actions/attest"):
        assert (attested["subject-name"], attested["subject-digest"]) == (name, digest)
    for job in ("sign", "deploy"):
        (signature,) = [
            step
            for step in JOBS[job]["steps"]
            if "$IMAGE" in step.get("run", "") and "cosign" in step["run"]
        ]
        assert signature["env"]["IMAGE"] == f"{name}@{digest}"
    (deployed,) = [
        step for step in JOBS["deploy"]["steps"] if "helm upgrade" in step.get("run", "")
    ]
    assert deployed["env"]["DIGEST"] == digest


@pytest.mark.parametrize(
    ("chosen", "jobs"),
    [
        ("docker", ["image", "scan", "sign"]),
        ("kubernetes", ["chart"]),
        ("docker kubernetes", list(PERMISSIONS)),
    ],
)
def test_release_has_the_jobs_of_the_chosen_features(
    tmp_path: Path, chosen: str, jobs: list[str]
) -> None:
    service = generate_in(tmp_path, **NOTHING | dict.fromkeys(chosen.split(), True))
    found = workflows(service)["release.yml"]["jobs"]
    assert list(found) == jobs
    for job in found.values():
        waited = job.get("needs", [])
        assert {waited} if isinstance(waited, str) else set(waited) <= found.keys()


def test_deploy_waits_for_an_environment_and_is_skipped_without_a_namespace() -> None:
    assert JOBS["deploy"]["environment"] == "production"
    assert JOBS["deploy"]["if"] == "vars.DEPLOY_NAMESPACE != ''"
