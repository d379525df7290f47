"""`docs/updating.md` is right: its commands, run as they are written, do what it says."""

import json
import re
import shutil
from pathlib import Path

import pytest
from pipeline.repository import ENVIRONMENT, TOOLS, shell

from tools.generate import ROOT

from .team import LINKS, links, save, status
from .template import Template, git, replace

DOCUMENT = (ROOT / "docs" / "updating.md").read_text("utf-8")

# `uvx` runs the newest version of a command; here it is to be the pinned one.
UVX = f"""#!/bin/sh
command=$1
shift
exec "{TOOLS}/$command" "$@"
"""


class Reader:
    """Somebody who follows the document in a home folder, where a clone of the template lies."""

    def __init__(self, template: Template, home: Path) -> None:
        self._home = home
        self._template = template
        self._clone = shutil.copytree(template.folder, home / "candid", symlinks=True)
        self.service = home / "truthful-service"
        (home / "bin").mkdir()
        (home / "bin" / "uvx").write_text(UVX, "utf-8")
        (home / "bin" / "uvx").chmod(0o755)
        (home / "enter").write_text("\n" * 20, "utf-8")

    def pull(self, commit: str) -> None:
        """Have the clone at one of the template's commits."""
        git(self._clone, "reset", "--quiet", "--hard", commit)

    def follow(self, section: str, block: int) -> None:
        """Run one block of a section's commands; the answer to every question is the enter key."""
        text = DOCUMENT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        blocks = re.findall("^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        script = re.sub(r"^\$ ", "", blocks[block], flags=re.MULTILINE)
        script = script.replace("path/to/candid", str(self._clone))
        self.run(script.replace("COMMIT", self._template.older))

    def run(self, script: str) -> str:
        """Run commands in the service, once there is one, and return what they say."""
        ended = shell(
            f"exec < {self._home / 'enter'}\n{script}",
            self.service if self.service.exists() else self._home,
            HOME=str(self._home),
            PATH=f"{self._home / 'bin'}:{ENVIRONMENT['PATH']}",
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    def work(self) -> None:
        """Change a file of the template."""
        replace(self.service / "README.md", "\n## Configure\n", "\n## Ask Ada\n\\g<0>")
        save(self.service, "Our work")

    def has_merged(self) -> bool:
        """Tell whether the README has both the template's change and ours."""
        readme = (self.service / "README.md").read_text("utf-8")
        return "\n## Run\n" in readme and "\n## Ask Ada\n" in readme


@pytest.fixture
def reader(template: Template, tmp_path: Path) -> Reader:
    """Begin while the template is still at its older commit."""
    reader = Reader(template, tmp_path)
    reader.pull(template.older)
    return reader


def test_cruft_creates_a_service_and_changes_its_features(
    reader: Reader, template: Template
) -> None:
    reader.follow("With cruft", 0)
    reader.work()
    reader.pull(template.newest)
    reader.follow("With cruft", 2)
    assert reader.has_merged()
    assert (reader.service / "dev" / "kafka.py").exists()
    assert not (reader.service / "Dockerfile").exists()


def test_cruft_updates_a_service_that_cookiecutter_made(reader: Reader, template: Template) -> None:
    reader.follow("Without cruft", 0)
    reader.work()
    reader.pull(template.newest)
    reader.follow("With cruft", 3)
    changed = re.findall(r"^diff --git \S*?/(\S+)", reader.run("uvx cruft diff"), re.MULTILINE)
    assert sorted(changed) == ["README.md", *(f"deploy/chart/{name}" for name in sorted(LINKS))]
    reader.follow("With cruft", 1)
    assert reader.has_merged()
    assert status(reader.service) == []


def test_git_and_cookiecutter_are_enough(reader: Reader, template: Template) -> None:
    reader.follow("Without cruft", 0)
    reader.work()
    answers = json.loads((reader.service / ".answers.json").read_text("utf-8"))
    answers["cookiecutter"]["kafka"] = True
    (reader.service / ".answers.json").write_text(json.dumps(answers), "utf-8")
    save(reader.service, "Want Kafka")
    reader.pull(template.newest)
    reader.follow("Without cruft", 1)
    assert reader.has_merged()
    assert status(reader.service) == []
    assert (reader.service / "dev" / "kafka.py").exists()
    assert not (reader.service / "docs" / "older.md").exists()
    assert (reader.service / ".answers.json").exists()
    assert links(reader.service) == LINKS
