"""`make copy` refuses with one sentence, and writes nothing."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from project import TEMPLATE, fingerprint

from .copying import make_copy

PACKAGE = {"shop/__init__.py": "", "shop/main.py": "import fastapi\n\napp = fastapi.FastAPI()\n"}
FLAT = {"shop/main.py": PACKAGE["shop/main.py"]}


def project(requires: str) -> dict[str, str]:
    """Return the files of a package whose project requires a version of Python."""
    return {**PACKAGE, "pyproject.toml": f'[project]\nrequires-python = "{requires}"\n'}


# name: files, INTO, and what the sentence says
REFUSALS: dict[str, tuple[Mapping[str, str], str, str]] = {
    "no INTO": (PACKAGE, "", "INTO is missing. Name the folder"),
    "missing folder": (PACKAGE, "sohp", "sohp does not exist."),
    "file": (PACKAGE, "shop/main.py", "main.py is a file."),
    "project": (PACKAGE, ".", "Did you mean INTO={root}/shop?"),
    "project with src": ({"src/shop/__init__.py": ""}, ".", "Did you mean INTO={root}/src/shop?"),
    "src": ({"src/shop/__init__.py": ""}, "src", "Did you mean INTO={root}/src/shop?"),
    "folder": (
        {"shop/notes.txt": ""},
        "shop",
        "no module in it creates an application of FastAPI, Starlette or Flask.",
    ),
    "namespace package": ({"src/shop/main.py": FLAT["shop/main.py"]}, "src/shop", "__init__.py"),
    "relative imports": (
        {**FLAT, "shop/routes.py": "from .main import app\n"},
        "shop",
        "is not a package. Add an empty __init__.py",
    ),
    "folder in a package": (
        {**PACKAGE, "shop/infra/main.py": "app = make()\n"},
        "shop/infra",
        "Add",
    ),
    "no name of Python": ({"my-shop/__init__.py": ""}, "my-shop", "my-shop cannot be imported"),
    "keyword": ({"class/__init__.py": ""}, "class", "class cannot be imported"),
    "existing file": (
        {**PACKAGE, "shop/resilience/recovery.py": "mine = 1\n"},
        "shop",
        "these files exist and differ: shop/resilience/recovery.py.",
    ),
    "existing test": (
        {**PACKAGE, "tests/test_recovery.py": "mine = 1\n"},
        "shop",
        "these files exist and differ: tests/test_recovery.py.",
    ),
    "file for a folder": ({**PACKAGE, "shop/resilience": ""}, "shop", "resilience is a file"),
    "file for the bases": ({**PACKAGE, ".candid": ""}, "shop", ".candid is a file"),
    "module with the name of a folder": (
        {**PACKAGE, "shop/resilience.py": ""},
        "shop",
        "resilience.py has the name of a folder",
    ),
    "folder for a file": (
        {**PACKAGE, "shop/resilience/recovery.py/x": ""},
        "shop",
        "cannot be read or written: Is a directory.",
    ),
    "Python 3.9": (project(">=3.9"), "shop", "supports Python >=3.9, and the pattern needs 3.11"),
    "Python 3": (project(">=3,<4"), "shop", "supports Python >=3,<4, and the pattern needs 3.11"),
    "up to Python 3.10": (project("<3.11"), "shop", "supports Python <3.11"),
    "Python of Poetry": (
        {**PACKAGE, "pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.10"\n'},
        "shop",
        "supports Python ^3.10",
    ),
    "Python of a project above": (
        {
            "pyproject.toml": project(">=3.10")["pyproject.toml"],
            "backend/main.py": "app = make()\n",
        },
        "backend",
        "supports Python >=3.10",
    ),
    "Python of .venv": (
        {**PACKAGE, "tests/x": "", ".venv/pyvenv.cfg": "home = /usr\nversion = 3.10.4\n"},
        "shop",
        ".venv has Python 3.10, and the pattern needs 3.11.",
    ),
    "invalid TOML": ({**PACKAGE, "pyproject.toml": "[project"}, "shop", "is not valid TOML"),
}


def write_files(root: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal_is_one_sentence_and_nothing_is_written(case: str, tmp_path: Path) -> None:
    files, into, sentence = REFUSALS[case]
    write_files(tmp_path, files)
    before = fingerprint(tmp_path)
    ended = make_copy("recovery", tmp_path / into if into else "")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence.format(root=tmp_path) in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert fingerprint(tmp_path) == before


@pytest.mark.parametrize("requires", [">=3.11", ">=3.12,<4", "~=3.11", "==3.13.*", "<4", ""])
def test_new_enough_python_is_accepted(requires: str, tmp_path: Path) -> None:
    write_files(tmp_path, project(requires))
    assert make_copy("recovery", tmp_path / "shop").returncode == 0


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("recovry", "Did you mean recovery?"),
        ("x", "lists the patterns."),
        ("", "PATTERN is missing."),
    ],
)
def test_unknown_pattern_is_refused(pattern: str, sentence: str, tmp_path: Path) -> None:
    write_files(tmp_path, PACKAGE)
    ended = make_copy(pattern, tmp_path / "shop")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence in ended.stderr


def test_target_inside_the_source_is_refused() -> None:
    ended = make_copy("recovery", TEMPLATE / "src" / "reference_service")
    assert ended.returncode == 2
    assert "is inside the service that the patterns come from" in ended.stderr


def test_link_to_a_missing_file_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, {**PACKAGE, "shop/resilience/mine.py": ""})
    (tmp_path / "shop" / "resilience" / "recovery.py").symlink_to(tmp_path / "elsewhere.py")
    ended = make_copy("recovery", tmp_path / "shop")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "recovery.py cannot be read or written" in ended.stderr
    assert not (tmp_path / "elsewhere.py").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_target_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, PACKAGE)
    (tmp_path / "shop").chmod(0o555)
    try:
        ended = make_copy("recovery", tmp_path / "shop")
    finally:
        (tmp_path / "shop").chmod(0o755)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "shop cannot be written. Change its permissions." in ended.stderr


def test_project_with_uncommitted_changes_is_refused_unless_allowed(tmp_path: Path) -> None:
    write_files(tmp_path, PACKAGE)
    git(tmp_path, "init", "--quiet")
    ended = make_copy("recovery", tmp_path / "shop")
    assert ended.returncode == 2
    assert "has changes that are not committed, for example shop/. Commit them" in ended.stderr
    assert make_copy("recovery", tmp_path / "shop", "--dry").returncode == 0
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "Start")
    assert make_copy("recovery", tmp_path / "shop").returncode == 0
    assert make_copy("timeout", tmp_path / "shop").returncode == 2
    assert make_copy("timeout", tmp_path / "shop", "--dirty").returncode == 0
    (tmp_path / ".git" / "index").write_text("broken", "utf-8")
    assert "git cannot read the state of" in make_copy("timeout", tmp_path / "shop").stderr


def git(folder: Path, *arguments: str) -> None:
    """Run git without the configuration of the user. It must succeed."""
    settings = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=0"]
    subprocess.run(["git", "-C", str(folder), *settings, *arguments], check=True, timeout=60)


def test_pattern_without_further_tests_is_not_copied_with_them(tmp_path: Path) -> None:
    result = make_copy("recovery", tmp_path, "--tests")
    assert result.returncode == 2
    assert result.stderr.startswith("recovery has no tests here but the one on its page. Leave out")
    assert list(tmp_path.iterdir()) == []
