"""Compose files of any features have valid references, and the services start in order."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import TEMPLATE, generate_in

from hooks.post_gen_project import FEATURES
from hooks.pre_gen_project import REQUIRES
from tools.generate import ROOT

from .compose import Composition

COMPOSE_FEATURES = ("postgres", "redis", "sentinel", "kafka", "grpc", "observability")
MONITORING = {"collector", "jaeger", "prometheus", "alertmanager", "grafana"}
NAMES = {"project_name": "Orders", "package_name": "orders_api"}


def feature_sets() -> Iterator[frozenset[str]]:
    """Yield no feature, each alone, each pair, and all; each with the features that it requires."""
    for features in [
        *(pair for n in range(3) for pair in combinations(COMPOSE_FEATURES, n)),
        COMPOSE_FEATURES,
    ]:
        yield frozenset(features) | {
            REQUIRES[feature] for feature in features if feature in REQUIRES
        }


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> list[Composition]:
    """Generate a project for each set of features."""
    folder = tmp_path_factory.mktemp("projects")
    return [
        Composition(
            generate_in(
                folder / ("-".join(sorted(features)) or "none"),
                **NAMES,
                **{feature: feature in {*features, "docker"} for feature in FEATURES},
            )
        )
        for features in sorted(set(feature_sets()), key=sorted)
    ]


@pytest.fixture(scope="module")
def everything(projects: list[Composition]) -> Composition:
    return max(projects, key=lambda project: len(project.services))


def test_files_match_compose_schema(projects: list[Composition]) -> None:
    files = [str(file) for project in projects for file in project.files]
    program = str(ROOT / ".build/tools/bin/check-jsonschema")
    command = [program, "--builtin-schema", "vendor.compose-spec", *files]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_example_of_an_override_fits_the_service(tmp_path: Path) -> None:
    text = (TEMPLATE / "docs/container.md").read_text("utf-8")
    [example] = re.findall(r"(?s)```yaml\n(services:.*?)```", text)
    (tmp_path / "compose.override.yaml").write_text(example)
    program = str(ROOT / ".build/tools/bin/check-jsonschema")
    command = [program, "--builtin-schema", "vendor.compose-spec", "compose.override.yaml"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    override = yaml.safe_load(example)
    [service] = override["services"].values()
    composed = yaml.safe_load((TEMPLATE / "compose.yaml").read_text("utf-8"))
    assert override["services"].keys() == composed["services"].keys()
    settings = (TEMPLATE / "docs/settings.md").read_text("utf-8")
    assert all(f"`{name}`" in settings for name in service["environment"])
    assert service["build"]["secrets"] == [*override["secrets"]]
    assert "--mount=type=secret,id=ca" in (TEMPLATE / "Dockerfile").read_text("utf-8")


def test_references_are_valid(projects: list[Composition]) -> None:
    for project in projects:
        named_volumes: set[str] = set()
        for name, service in project.services.items():
            for other, condition in project.conditions(name).items():
                assert other in project.services, name
                if condition == "service_healthy":
                    assert "test" in project.services[other]["healthcheck"], other
                else:
                    assert condition == "service_completed_successfully"
            for source in service["binds"].values():
                assert source.exists(), f"{name} mounts {source}"
            for host in hosts(service):
                assert host in project.services, f"{name} connects to {host}"
            named_volumes |= service["named_volumes"]
        assert named_volumes == project.volumes


def hosts(service: dict[str, Any]) -> set[str]:
    """Return the hosts of the addresses in a service's environment."""
    values = ",".join(map(str, service.get("environment", {}).values()))
    with_port = re.findall(r"(?:[@/=,]|^)([a-z][a-z0-9-]*):\d+", values)
    without = re.findall(r"(?:@|//)([a-z][a-z0-9-]*)(?=[/,]|$)", values)
    return {*with_port, *without} - {"localhost"}


def test_every_file_is_used(projects: list[Composition]) -> None:
    for project in projects:
        mounted = {path for each in project.services.values() for path in each["binds"].values()}
        existing = (project.project / "deploy/compose").rglob("*.*")
        assert {path for path in existing if path.is_file()} <= {*project.files, *mounted}


def test_service_waits_for_dependencies_but_not_for_monitoring(
    projects: list[Composition],
) -> None:
    for project in projects:
        assert hosts(project.services["service"]) - {"collector"} <= project.started_before(
            "service"
        )
        assert not project.started_before("service") & MONITORING


def test_service_connects_to_every_dependency(everything: Composition) -> None:
    assert hosts(everything.services["service"]) == {
        "collector",
        "downstream",
        "kafka",
        "postgres",
        "sentinel-1",
        "sentinel-2",
        "sentinel-3",
        "valkey",
    }
    migrate, service = (everything.services[name] for name in ("migrate", "service"))
    assert migrate["environment"].items() <= service["environment"].items()


def test_images_are_pinned_and_ports_are_published_on_loopback(
    everything: Composition,
) -> None:
    for name, service in everything.services.items():
        image = service["image"]
        assert image == "orders" or re.fullmatch(r"[\w/-]+:v?\d+\.\d+(\.\d+)?(-trixie)?", image)
        if image == "orders":
            assert ("build" in service) != (service.get("pull_policy") == "never")
            hardened = (service["read_only"], service["cap_drop"], service["security_opt"])
            assert hardened == (True, ["ALL"], ["no-new-privileges:true"]), name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name


def test_prometheus_configuration_differs_from_example_only_in_addresses(
    everything: Composition,
) -> None:
    example = (TEMPLATE / "deploy/prometheus/prometheus.yaml").read_text("utf-8")
    for port, service in ((9000, "service"), (9093, "alertmanager")):
        example = example.replace(f"localhost:{port}", f"{service}:{port}")
        assert service in everything.services
    composed = (TEMPLATE / "deploy/compose/prometheus.yaml").read_text("utf-8")
    assert yaml.safe_load(composed) == yaml.safe_load(example)


def test_prometheus_accepts_mounted_configuration(everything: Composition, tmp_path: Path) -> None:
    promtool = shutil.which("promtool") or ""
    if not promtool:
        reason = "promtool is not installed: apt install prometheus"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    for target, source in everything.services["prometheus"]["binds"].items():
        place = tmp_path / target.strip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, place)
    (option,) = (
        option.removeprefix("--config.file=")
        for option in everything.services["prometheus"]["command"]
        if option.startswith("--config.file=")
    )
    command = [promtool, "check", "config", str(tmp_path / option.strip("/"))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "SUCCESS: 5 rule files found" in ended.stdout


def test_grafana_has_dashboards_and_data_sources(
    everything: Composition,
) -> None:
    grafana = everything.services["grafana"]

    def provisioned(kind: str) -> list[dict[str, Any]]:
        path = f"/etc/grafana/provisioning/{kind}/{kind}.yaml"
        content = yaml.safe_load(everything.host_path("grafana", path).read_text("utf-8"))
        (entries,) = (value for value in content.values() if isinstance(value, list))
        return list(entries)

    (provider,) = provisioned("dashboards")
    folder = everything.host_path("grafana", provider["options"]["path"])
    assert folder == everything.project / "deploy/grafana"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert everything.host_path("grafana", home).exists()
    sources = {source["uid"]: source for source in provisioned("datasources")}
    assert {re.findall("//(.*):", each["url"])[0] for each in sources.values()} <= MONITORING
    (exemplars,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert exemplars["datasourceUid"] in sources
