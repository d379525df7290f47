"""A default service is small: its team owns every line of it."""

from pathlib import Path

import pytest
from project import Generate, files

from hooks.post_gen_project import LINKS

MAX_PYTHON_LINES = 12_430
MAX_FILES = 233
CODE = ("dev", "migrations", "patterns", "src", "tests")
PART_TESTS = {
    "dependencies",
    "dev",
    "health",
    "management",
    "observability",
    "patterns",
    "resilience",
    "server",
    "telemetry",
    "traffic",
}


@pytest.fixture
def default_service(generate: Generate) -> Path:
    """Generate a service with the default answers."""
    return generate()


def test_default_service_has_few_lines_of_python(default_service: Path) -> None:
    lines = {
        folder: sum(
            len(file.read_text("utf-8").splitlines())
            for file in files(default_service / folder)
            if file.suffix == ".py"
        )
        for folder in CODE
    }
    assert sum(lines.values()) <= MAX_PYTHON_LINES, lines


def test_default_service_has_few_files(default_service: Path) -> None:
    found = [file for file in files(default_service) if not is_copied(file, default_service)]
    assert len(found) <= MAX_FILES, len(found)


def is_copied(file: Path, root: Path) -> bool:
    """Return whether a file is in a copy of another folder, and so counted there."""
    return any(file.is_relative_to(root / name) for name in LINKS)


def test_default_service_has_tests_of_its_own_code_only(default_service: Path) -> None:
    folders = {path.name for path in (default_service / "tests").iterdir() if path.is_dir()}
    assert folders == {"items", "service"}


def test_default_service_has_no_drill(default_service: Path) -> None:
    assert not (default_service / "dev" / "drill").exists()


def test_drill_part_tests_and_patterns_come_with_their_answers(generate: Generate) -> None:
    service = generate(drill=True, part_tests=True, patterns=True)
    folders = {path.name for path in (service / "tests").iterdir() if path.is_dir()}
    assert folders == {"items", "service", *PART_TESTS}
    assert (service / "docs" / "patterns" / "README.md").exists()
    assert (service / "dev" / "drill" / "postgres.py").exists()
    assert (service / "tests" / "dev" / "test_drill.py").exists()


def test_drill_without_part_tests_comes_without_its_tests(generate: Generate) -> None:
    service = generate(drill=True)
    assert (service / "dev" / "drill" / "postgres.py").exists()
    assert not (service / "tests" / "dev").exists()


def test_part_tests_without_the_drill_come_without_its_tests(generate: Generate) -> None:
    service = generate(part_tests=True)
    assert list((service / "tests" / "dev").glob("test_*.py"))
    assert not list((service / "tests" / "dev").glob("test_drill*.py"))
