"""The release workflow publishes only what was scanned, signs it, and deploys it by digest.

GitHub and a registry are not available here. Actions are checked against the inputs that they
document. Commands run with programs that print what the real ones print.
"""

import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart.helm import Chart
from project import TEMPLATE, generate_in

from hooks.post_gen_project import FEATURES
from pipeline.repository import Run, commands, shell, steps, workflows

NAME = "ghcr.io/acme/shop"
DIGEST = "sha256:" + "0123456789abcdef" * 4
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


def command(pattern: str, index: int = 0) -> str:
    return commands(TEMPLATE, "release.yml", pattern)[index]


def run(script: str, folder: Path, programs: dict[str, str] | None = None, **variables: str) -> Run:
    """Run a step in a folder. A program is replaced by a script that prints the given text."""
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    for name, output in (programs or {}).items():
        (binaries / name).write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
        (binaries / name).chmod(0o755)
    variables = {
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_REPOSITORY": "Acme/Shop",
        "GITHUB_REF_NAME": "v1.2.0",
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        **variables,
    }
    return shell(script, folder, **variables)


def outputs(folder: Path) -> dict[str, str]:
    lines = (folder / "output").read_text("utf-8").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


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


def test_list_of_packages_is_scanned_and_attested() -> None:
    (listed,) = uses("scan", "anchore/sbom-action")
    (scanned,) = uses("scan", "anchore/scan-action")
    (loaded,) = uses("sign", "actions/download-artifact")
    provenance, packages = uses("sign", "actions/attest")
    assert listed["output-file"] == scanned["sbom"] == packages["sbom-path"] == "sbom.spdx.json"
    assert listed["artifact-name"] == loaded["name"]
    assert "sbom-path" not in provenance  # then it is SLSA provenance
    assert provenance["push-to-registry"] is packages["push-to-registry"] is True


def test_image_is_named_by_its_digest_after_the_push() -> None:
    """A tag can be moved between two jobs."""
    (pushed,) = uses("image", "docker/build-push-action")
    assert (pushed["push"], pushed["provenance"]) == (True, "mode=max")
    name, digest = "${{ needs.image.outputs.name }}", "${{ needs.image.outputs.digest }}"
    (listed,) = uses("scan", "anchore/sbom-action")
    assert listed["image"] == f"{name}@{digest}"
    for attested in uses("sign", "actions/attest"):
        assert (attested["subject-name"], attested["subject-digest"]) == (name, digest)
    for job in ("sign", "deploy"):
        (signature,) = [
            step for step in JOBS[job]["steps"] if step.get("run", "").startswith("cosign")
        ]
        assert signature["env"]["IMAGE"] == f"{name}@{digest}"
    (deployed,) = [
        step for step in JOBS["deploy"]["steps"] if "helm upgrade" in step.get("run", "")
    ]
    assert "image.digest=$DIGEST" in deployed["run"]
    assert deployed["env"]["DIGEST"] == digest


def test_name_of_image_is_lowercase_and_version_has_no_v(tmp_path: Path) -> None:
    ended = run(command("^printf"), tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert outputs(tmp_path) == {"name": NAME, "version": "1.2.0"}


def test_published_chart_installs_the_pushed_image(tmp_path: Path) -> None:
    service = generate_in(tmp_path)
    ended = run(command("^sed"), service, IMAGE=NAME, DIGEST=DIGEST)
    assert ended.returncode == 0, ended.stdout
    objects = Chart(service / "deploy" / "chart").objects()
    images = {
        container["image"]
        for thing in objects
        if thing["kind"] in ("Deployment", "Job")
        for container in thing["spec"]["template"]["spec"]["containers"]
    }
    assert images == {f"{NAME}@{DIGEST}"}


def test_pushed_chart_is_named_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "shop-1.2.0.tgz").touch()
    pushed = f"Pushed: {NAME}/charts/reference-service:1.2.0\nDigest: {DIGEST}"
    ended = run(command("helm push"), tmp_path, {"helm": pushed})
    assert ended.returncode == 0, ended.stdout
    assert outputs(tmp_path) == {"name": f"{NAME}/charts/reference-service", "digest": DIGEST}


def test_failed_push_of_chart_fails_the_job(tmp_path: Path) -> None:
    ended = run(command("helm push"), tmp_path, {"helm": "Error: denied"})
    assert ended.returncode != 0
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(("found", "passes"), [(DIGEST, True), ("sha256:" + "f" * 64, False)])
def test_deploy_stops_if_the_chart_has_another_digest(
    tmp_path: Path, found: str, *, passes: bool
) -> None:
    pulled = f"Pulled: {NAME}/charts/reference-service:1.2.0\nDigest: {found}"
    variables = {"CHART": f"{NAME}/charts/reference-service", "DIGEST": DIGEST}
    ended = run(command("^helm pull"), tmp_path, {"helm": pulled}, **variables)
    assert (ended.returncode == 0) == passes


def test_deploy_accepts_only_signatures_of_this_workflow_and_tag() -> None:
    verify = command("^cosign verify")
    assert '--certificate-identity "$GITHUB_SERVER_URL/$GITHUB_WORKFLOW_REF"' in verify
    assert "--certificate-oidc-issuer https://token.actions.githubusercontent.com" in verify
    assert verify.endswith('"$IMAGE" "$CHART"')


def test_credentials_of_cluster_are_readable_by_the_runner_only(tmp_path: Path) -> None:
    ended = run(
        command("^install"), tmp_path, RUNNER_TEMP=str(tmp_path), KUBECONFIG_CONTENT="token: x"
    )
    assert ended.returncode == 0, ended.stdout
    file = tmp_path / "kubeconfig"
    assert file.read_text("utf-8") == "token: x\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


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
