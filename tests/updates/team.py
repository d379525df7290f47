"""What a team does: generate a service, change it, update it, and compare the result."""

import json
import shutil
from pathlib import Path

from cookiecutter.main import cookiecutter
from pipeline.repository import TOOLS, commit, run
from project import fingerprint

from hooks.post_gen_project import LINKS
from tools.generate import settings

from .template import DELETED, Template, git, replace

# Text that changes if it is escaped twice, or if it is parsed as a placeholder, tag or template.
ANSWERS: dict[str, object] = {
    "project_name": 'It\'s "Größe" \\ & {co} <b> 注文 $HOME',
    "project_slug": "orders",
    "description": 'Reference Service, "back\\slash", ends like a tag # feature: kafka',
    "author": "Reference Author & 'Söhne' %(x)s",
}

# Files that no template contains. The first is committed, git ignores the others.
OWN_FILES = ("uv.lock", ".env", ".venv/bin/python", ".data/postgres/base")


def cruft(folder: Path, *words: str) -> str:
    """Run cruft with its own configuration and return its output."""
    config = settings(folder.parent / "home")
    ended = run(TOOLS / "cruft", *words, cwd=folder, COOKIECUTTER_CONFIG=str(config))
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def create(template: Template, folder: Path, *options: str) -> Path:
    """Generate a service from the template's newest commit, and commit the result."""
    folder.mkdir()
    context = ["--extra-context", json.dumps(ANSWERS)]
    cruft(folder, "create", "-y", *context, *options, str(template.folder))
    service = folder / "orders"
    save(service, "As generated")
    return service


def generate(template: Template, folder: Path, **answers: object) -> Path:
    """Generate a service from the newest version of the template, without cruft."""
    made = cookiecutter(
        str(template.folder),
        no_input=True,
        extra_context=ANSWERS | answers,
        output_dir=str(folder / "expected"),
        config_file=str(settings(folder / "home")),
    )
    return Path(made)


def copied(service: Path, folder: Path) -> Path:
    """Copy a service that several tests use into `folder`."""
    return Path(shutil.copytree(service, folder / service.name, symlinks=True))


def update(service: Path, **answers: object) -> str:
    """Update a service to the newest template and to other answers. Return the output of cruft."""
    changed = ["--variables-to-update", json.dumps(answers)] if answers else []
    return cruft(service, "update", "-y", *changed)


def save(service: Path, message: str) -> None:
    """Commit all changes."""
    ended = commit(service, message)
    assert ended.returncode == 0, ended.stdout


def work(service: Path) -> None:
    """Change a service like a team: add files, edit files near other lines, delete one file."""
    (package,) = (service / "src").iterdir()
    (package / "invoices.py").write_text('"""The domain of the team."""\n', "utf-8")
    replace(service / "README.md", r"\Z", "\n## Invoices\n\nAsk Ada.\n")
    replace(service / "pyproject.toml", r' "uvloop>=.*\n', r'\g<0>    "yarl>=1.20",\n')
    (service / DELETED).unlink()
    for name in OWN_FILES:
        (service / name).parent.mkdir(parents=True, exist_ok=True)
        (service / name).write_text("own", "utf-8")


def own_files(service: Path) -> dict[str, tuple[str, int]]:
    """Return the content and the time of change of the files that no update may touch."""
    files = {name: service / name for name in OWN_FILES}
    return {name: (file.read_text(), file.stat().st_mtime_ns) for name, file in files.items()}


def difference(service: Path, expected: Path) -> str:
    """Return the patch from the last commit of a service to a folder: files, modes and links."""
    there = f"--work-tree={expected}"
    index = str(expected.parent / "index")  # instead of the service's index
    for words in (["add", "--all"], ["diff", "--cached", "HEAD", "--", ":!.cruft.json"]):
        ended = run("git", there, "--git-dir=.git", *words, cwd=service, GIT_INDEX_FILE=index)
        assert ended.returncode == 0, ended.stdout
    return ended.stdout


def has_equal_copies(service: Path) -> bool:
    """Return whether the chart has copies of the rules and the dashboards, and no links."""
    return all(
        not (service / name).is_symlink()
        and fingerprint(service / name) == fingerprint(service / target)
        for name, target in LINKS.items()
    )


def status(service: Path) -> list[str]:
    """Return the lines of `git status --short`."""
    return git(service, "status", "--short").splitlines()
