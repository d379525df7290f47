"""The commands of the release workflow: what they publish, and when they fail.

GitHub, a registry and a cluster are not available here. Scripts that print what the real programs
print stand in for Cosign, Docker and Helm.
"""

import os
import stat
from pathlib import Path

import pytest
from chart.helm import Chart
from project import TEMPLATE, generate_in

from pipeline.repository import Run, commands, shell

NAME = "ghcr.io/acme/shop"
PRINT_ARGUMENTS = 'echo "$@"'
DIGEST = "sha256:" + "0123456789abcdef" * 4


def command(pattern: str) -> str:
    return commands(TEMPLATE, "release.yml", pattern)[0]


def run(script: str, folder: Path, **variables: str) -> Run:
    """Run a step in a folder. `cosign`, `docker` and `helm` are shell scripts in their place."""
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    for name in {"cosign", "docker", "helm"} & variables.keys():
        (binaries / name).write_text(f"#!/bin/sh\n{variables.pop(name)}\n")
        (binaries / name).chmod(0o755)
    variables = {
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_REPOSITORY": "Acme/Shop",
        "GITHUB_REF_NAME": "v1.2.0",
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        **variables,
    }
    return shell(script, folder, **variables)


def prints(*lines: str) -> str:
    """Return a shell script that prints these lines."""
    return "\n".join(["cat <<'END'", *lines, "END"])


def outputs(folder: Path) -> dict[str, str]:
    lines = (folder / "output").read_text("utf-8").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


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
    pushed = prints(f"Pushed: {NAME}/charts/reference-service:1.2.0", f"Digest: {DIGEST}")
    ended = run(command("helm push"), tmp_path, helm=pushed)
    assert ended.returncode == 0, ended.stdout
    assert outputs(tmp_path) == {"name": f"{NAME}/charts/reference-service", "digest": DIGEST}


def test_chart_has_the_version_of_the_tag(tmp_path: Path) -> None:
    ended = run(command("^helm package"), tmp_path, helm=PRINT_ARGUMENTS)
    assert "--version 1.2.0 --app-version 1.2.0 --destination dist" in ended.stdout


def test_deploy_installs_the_verified_chart_with_the_digest_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "reference-service-1.2.0.tgz").touch()
    variables = {"NAMESPACE": "shop", "IMAGE": NAME, "DIGEST": DIGEST, "RUNNER_TEMP": "/tmp"}
    ended = run(command("^helm upgrade"), tmp_path, helm=PRINT_ARGUMENTS, **variables)
    words = ended.stdout.split()
    assert words[:4] == ["upgrade", "--install", "reference-service", "reference-service-1.2.0.tgz"]
    assert f"image.repository={NAME},image.digest={DIGEST}" in words
    assert words[words.index("--namespace") + 1] == "shop"


def test_failed_push_of_chart_fails_the_job(tmp_path: Path) -> None:
    ended = run(command("helm push"), tmp_path, helm=prints("Error: denied"))
    assert ended.returncode != 0
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(("found", "passes"), [(DIGEST, True), ("sha256:" + "f" * 64, False)])
def test_deploy_stops_if_the_chart_has_another_digest(
    tmp_path: Path, found: str, *, passes: bool
) -> None:
    pulled = prints(f"Pulled: {NAME}/charts/reference-service:1.2.0", f"Digest: {found}")
    variables = {"CHART": f"{NAME}/charts/reference-service", "DIGEST": DIGEST}
    ended = run(command("^helm pull"), tmp_path, helm=pulled, **variables)
    assert (ended.returncode == 0) == passes


@pytest.mark.parametrize("tool", ["cosign", "docker", "helm"])
def test_token_of_registry_is_no_argument(tmp_path: Path, tool: str) -> None:
    """Other processes of the runner can read arguments."""
    for step in commands(TEMPLATE, "release.yml", f"^{tool}.* login"):
        assert "--password-stdin" in step
        variables = {"GITHUB_ACTOR": "ada", "GH_TOKEN": "t0k3n", tool: f"{PRINT_ARGUMENTS}; cat"}
        arguments, token = run(step, tmp_path, **variables).stdout.splitlines()
        assert arguments.endswith("login ghcr.io --username ada --password-stdin")
        assert token == "t0k3n"


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
