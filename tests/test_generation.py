"""Every combination of features: the result has what was chosen, and no trace of the rest."""

import re
import shutil
from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path

import pytest
from combinations import ADDITIONS, PAIRED, few_features, with_required
from project import files, fingerprint, generate_in
from updates.template import git

from hooks.post_gen_project import (
    BUILD_ARTIFACTS,
    ESCAPED_PLACEHOLDERS,
    FEATURES,
    NAME_PLACEHOLDERS,
    TIERS,
)
from tools.generate import ROOT, generate_from

# Words that betray a feature in a service that declined it, in any case.
TRACES = {
    "postgres": r"postgres|pgserver|asyncpg|sqlalchemy|alembic|greenlet|database_|migrations",
    "redis": r"redis(?!patch)|valkey",  # HAProxy has an option redispatch
    "sentinel": r"sentinel",
    "kafka": r"kafka",
    "grpc": r"grpc",
    "kubernetes": r"helm|kubectl|deploy/chart",
    "observability": r"prometheus|grafana|alertmanager|opentelemetry-sdk|otlp|runbook",
    "docker": r"(?<!no )(?<!without )docker|compose\.yaml|hadolint",
    "github": r"github",
    "drill": r"drill",
    "part_tests": r"tests/(dependencies|dev|health|observability|patterns|resilience|server"
    r"|telemetry)",
    "patterns": r"docs/patterns|patterns/[a-z]|make copy|dev[/.]copy",
}
MARKS = r"(?i:cookiecutter)|\{%|feature: *[a-z]"
# A tag can join two features. These cover each pair, chosen and declined.
CHOSEN = [*few_features(), *(with_required(*({*PAIRED} - few)) for few in few_features())]
ADDED = [
    dict(zip(ADDITIONS, chosen, strict=True))
    for chosen in product((True, False), repeat=len(ADDITIONS))
]
COMBINATIONS: list[dict[str, object]] = [
    {"slo_tier": tier, **{feature: feature in chosen for feature in PAIRED}, **added}
    for chosen, tier, added in zip(dict.fromkeys(CHOSEN), cycle(TIERS), cycle(ADDED), strict=False)
]


def name_of(answers: dict[str, object]) -> str:
    """Return the name of a combination: its tier and its features."""
    return "-".join(
        str(answers[name]) if name == "slo_tier" else name for name in answers if answers[name]
    )


@pytest.fixture(scope="module", params=COMBINATIONS, ids=name_of)
def answers(request: pytest.FixtureRequest) -> dict[str, object]:
    """Return one combination after the other."""
    chosen: dict[str, object] = request.param
    return chosen


@pytest.fixture(scope="module")
def made(answers: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Generate the combination with names that differ from the placeholders; delete it later."""
    folder = tmp_path_factory.mktemp("made")
    yield generate_in(
        folder,
        project_name="Orders",
        package_name="orders_api",
        description="Takes orders.",
        author="Ada",
        **answers,
    )
    shutil.rmtree(folder)


def test_placeholders_and_declined_features_leave_no_trace(
    made: Path, answers: dict[str, object]
) -> None:
    unwanted = [MARKS, *map(re.escape, NAME_PLACEHOLDERS | ESCAPED_PLACEHOLDERS)]
    unwanted += [f"(?i:{TRACES[feature]})" for feature in FEATURES if not answers[feature]]
    pattern = re.compile("|".join(unwanted))
    found = [trace for path in files(made) if (trace := first_trace(pattern, path, made))]
    assert not found, "\n".join(found)


def test_generated_folders_are_not_empty_and_have_no_build_artifacts(made: Path) -> None:
    assert [path for path in made.rglob("*") if path.is_dir() and not any(path.iterdir())] == []
    assert [path for pattern in BUILD_ARTIFACTS for path in made.rglob(pattern)] == []


def first_trace(pattern: re.Pattern[str], path: Path, root: Path) -> str:
    """Return the first unwanted match in the path or the text of a file, or an empty string."""
    name = str(path.relative_to(root))
    lines = [name, *path.read_text("utf-8").splitlines()]
    found = [f"{name}:{n}: {line}" for n, line in enumerate(lines) if pattern.search(line)]
    return f"{found[0]} (and {len(found) - 1} more)" if found else ""


def test_same_answers_give_same_bytes_and_modes(tmp_path: Path) -> None:
    one, two = (generate_in(tmp_path / name, postgres=False) for name in ("one", "two"))
    assert fingerprint(one) == fingerprint(two)


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """The service that a clone of the last commit generates."""
    git(tmp_path, "clone", "--quiet", str(ROOT), "clone")
    return generate_from(tmp_path / "clone", tmp_path / "committed" / "out", {})


@pytest.mark.parametrize("autocrlf", ["true", "false"])
def test_clone_without_links_generates_the_same_service(
    committed: Path, tmp_path: Path, autocrlf: str
) -> None:
    """As on Windows."""
    options = ["--config", "core.symlinks=false", "--config", f"core.autocrlf={autocrlf}"]
    git(tmp_path, "clone", "--quiet", *options, str(ROOT), "windows")
    made = generate_from(tmp_path / "windows", tmp_path / "other" / "out", {})
    assert fingerprint(made) == fingerprint(committed)


def test_zip_archive_generates_the_same_service(committed: Path, tmp_path: Path) -> None:
    archive = tmp_path / "candid.zip"
    git(ROOT, "archive", "--prefix=candid/", f"--output={archive}", "HEAD")
    made = generate_from(archive, tmp_path / "other" / "out", {})
    assert fingerprint(made) == fingerprint(committed)


def test_every_feature_has_traces() -> None:
    assert list(FEATURES) == list(TRACES)
