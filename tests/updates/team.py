"""A team: it generates a service, works on it, and compares what an update made of that."""

import json
import shutil
from pathlib import Path

from cookiecutter.main import cookiecutter
from pipeline.repository import TOOLS, commit, run

from tools.generate import settings

from .template import DELETED, Template, git, replace

# Text that would change if it were escaped once too often, or taken for something else.
ANSWERS: dict[str, object] = {
    "project_name": 'It\'s "Größe" \\ & {co} <b> 注文 $HOME',
    "project_slug": "orders",
    "description": 'Reference Service, "back\\slash", ends like a tag # feature: kafka',
    "author": "Reference Author & 'Söhne' %(x)s",
}

# Where Helm finds what lies outside of the chart.
LINKS = {"dashboards": "../grafana", "rules": "../prometheus/rules"}

# What no template knows: the first is committed, git ignores the others.
BELONGINGS = ("uv.lock", ".env", ".venv/bin/python", ".data/postgres/base")


def cruft(folder: Path, *words: str) -> str:
    """Run cruft, with a home folder that is nobody's, and return what it says."""
    config = settings(folder.parent / "home")
    ended = run(TOOLS / "cruft", *words, cwd=folder, COOKIECUTTER_CONFIG=str(config))
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def create(template: Template, folder: Path, *options: str) -> Path:
    """Generate a service from the template's newest commit, and commit what comes."""
    folder.mkdir()
    context = ["--extra-context", json.dumps(ANSWERS)]
    cruft(folder, "create", "-y", *context, *options, str(template.folder))
    service = folder / "orders"
    save(service, "As generated")
    return service


def generate(template: Template, folder: Path, **answers: object) -> Path:
    """Generate a service from the newest state of the template, without cruft."""
    made = cookiecutter(
        str(template.folder),
        no_input=True,
        extra_context=ANSWERS | answers,
        output_dir=str(folder / "expected"),
        config_file=str(settings(folder / "home")),
    )
    return Path(made)


def copied(service: Path, folder: Path) -> Path:
    """Copy a service that tests share into `folder`."""
    return Path(shutil.copytree(service, folder / service.name, symlinks=True))


def update(service: Path, **answers: object) -> str:
    """Bring a service to the newest template and to other answers, and return what cruft says."""
    changed = ["--variables-to-update", json.dumps(answers)] if answers else []
    return cruft(service, "update", "-y", *changed)


def save(service: Path, message: str) -> None:
    """Commit whatever there is."""
    ended = commit(service, message)
    assert ended.returncode == 0, ended.stdout


def work(service: Path) -> None:
    """Do what teams do: files of their own, changes beside the template's, one file less."""
    (package,) = (service / "src").iterdir()
    (package / "invoices.py").write_text('"""What this service is really for."""\n', "utf-8")
    replace(service / "README.md", r"\Z", "\n## Invoices\n\nAsk Ada.\n")
    replace(service / "pyproject.toml", r' "uvloop>=.*\n', r'\g<0>    "yarl>=1.20",\n')
    (service / DELETED).unlink()
    for name in BELONGINGS:
        (service / name).parent.mkdir(parents=True, exist_ok=True)
        (service / name).write_text("ours", "utf-8")


def belongings(service: Path) -> dict[str, tuple[str, int]]:
    """Tell what is in the files that no update may touch, and when they were written."""
    files = {name: service / name for name in BELONGINGS}
    return {name: (file.read_text(), file.stat().st_mtime_ns) for name, file in files.items()}


def difference(service: Path, expected: Path) -> str:
    """Compare what is committed in a service to a folder, as a patch: files, modes and links."""
    there = f"--work-tree={expected}"
    index = str(expected.parent / "index")  # the service's own is left alone
    for words in (["add", "--all"], ["diff", "--cached", "HEAD", "--", ":!.cruft.json"]):
        ended = run("git", there, "--git-dir=.git", *words, cwd=service, GIT_INDEX_FILE=index)
        assert ended.returncode == 0, ended.stdout
    return ended.stdout


def links(service: Path) -> dict[str, str]:
    """Tell the links of a service's chart, and where they lead."""
    chart = service / "deploy" / "chart"
    return {path.name: str(path.readlink()) for path in chart.glob("*") if path.is_symlink()}


def status(service: Path) -> list[str]:
    """List what is not committed, as `git status` does."""
    return git(service, "status", "--short").splitlines()
