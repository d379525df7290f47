"""What comes out for any combination of features: what was asked for, and no trace of the rest."""

import re
import shutil
from collections.abc import Iterator
from itertools import combinations, cycle
from pathlib import Path

import pytest
from combinations import with_needs
from project import files, fingerprint, generate_in

from hooks.post_gen_project import FEATURES, LEFTOVERS, NAMES, SENTENCES, TIERS

# The words by which a feature would be noticed in a service that declined it, in any case.
TRACES = {
    "postgres": r"postgres|pgserver|asyncpg|sqlalchemy|alembic|greenlet|database_|migrations",
    "redis": r"redis|valkey",
    "sentinel": r"sentinel",
    "kafka": r"kafka",
    "grpc": r"grpc",
    "kubernetes": r"helm|kubectl|deploy/chart",
    "observability": r"prometheus|grafana|alertmanager|opentelemetry-sdk|otlp|runbook",
    "docker": r"(?<!no )docker|compose\.yaml|hadolint",
    "github": r"github",
}
MARKS = r"(?i:cookiecutter)|\{%|feature: *[a-z]"
# What a tag may join: each feature and each two, and all but those.
FEW = [with_needs(*few) for count in range(3) for few in combinations(FEATURES, count)]
CHOSEN = [*dict.fromkeys([*FEW, *(with_needs(*(FEATURES.keys() - few)) for few in FEW)])]
COMBINATIONS: list[dict[str, object]] = [
    {"slo_tier": tier, **{feature: feature in chosen for feature in FEATURES}}
    for chosen, tier in zip(CHOSEN, cycle(TIERS), strict=False)
]


def name_of(answers: dict[str, object]) -> str:
    """Name a combination by what was chosen."""
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
    """Generate the combination, under names that are not the template's, and forget it again."""
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


def test_nothing_is_left_of_the_template_or_of_what_was_declined(
    made: Path, answers: dict[str, object]
) -> None:
    unwanted = [MARKS, *map(re.escape, NAMES | SENTENCES)]
    unwanted += [f"(?i:{TRACES[feature]})" for feature in FEATURES if not answers[feature]]
    pattern = re.compile("|".join(unwanted))
    found = [trace for path in files(made) if (trace := first_trace(pattern, path, made))]
    assert not found, "\n".join(found)


def test_no_folder_is_empty_and_nothing_is_left_of_building(made: Path) -> None:
    assert [path for path in made.rglob("*") if path.is_dir() and not any(path.iterdir())] == []
    assert [path for pattern in LEFTOVERS for path in made.rglob(pattern)] == []


def first_trace(pattern: re.Pattern[str], path: Path, root: Path) -> str:
    """Find the first place where a file's path or text shows what it should not."""
    name = str(path.relative_to(root))
    lines = [name, *path.read_text("utf-8").splitlines()]
    found = [f"{name}:{n}: {line}" for n, line in enumerate(lines) if pattern.search(line)]
    return f"{found[0]} (and {len(found) - 1} more)" if found else ""


def test_the_same_answers_make_the_same_bytes_and_modes(tmp_path: Path) -> None:
    one, two = (generate_in(tmp_path / name, postgres=False) for name in ("one", "two"))
    assert fingerprint(one) == fingerprint(two)


def test_every_feature_is_a_question_and_can_be_traced() -> None:
    assert list(FEATURES) == list(TRACES)
