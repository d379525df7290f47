"""The commands of `docs/updating.md`, run as written, do what the document says."""

import json
import re
import shutil
from pathlib import Path

import pytest
from pipeline.repository import ENVIRONMENT, TOOLS, shell

from tools.generate import ROOT

from .team import has_equal_copies, save, status
from .template import Template, git, replace

DOCUMENT = (ROOT / "docs" / "updating.md").read_text("utf-8")

# `uvx` runs the newest version of a command. Here it runs the pinned one.
UVX = f"""#!/bin/sh
command=$1
shift
exec "{TOOLS}/$command" "$@"
"""


class Reader:
    """A reader who follows the document in a home folder with a clone of the template."""

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
        """Reset the clone to one of the template's commits."""
        git(self._clone, "reset", "--quiet", "--hard", commit)

    def follow(self, section: str, block: int, **words: str) -> str:
        """Run one block of a section's commands and return the output.

        The answer to every question is the enter key. words: replacements in the commands.
        """
        text = DOCUMENT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        blocks = re.findall("^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        script = re.sub(r"^\$ ", "", blocks[block], flags=re.MULTILINE)
        words = {"path/to/candid": str(self._clone), "COMMIT": self._template.older, **words}
        for word, replacement in words.items():
            script = script.replace(word, replacement)
        return self.run(script)

    def run(self, script: str) -> str:
        """Run commands in the service, or in the home folder before it exists."""
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
        save(self.service, "Change the README")

    def has_merged(self) -> bool:
        """Return whether the README has the changes of the template and of the team."""
        readme = (self.service / "README.md").read_text("utf-8")
        return "\n## Run\n" in readme and "\n## Ask Ada\n" in readme


@pytest.fixture
def reader(template: Template, tmp_path: Path) -> Reader:
    """Return a reader whose clone is at the older commit."""
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


def test_cruft_updates_a_service_that_cookiecutter_generated(
    reader: Reader, template: Template
) -> None:
    reader.follow("Without cruft", 0)
    reader.work()
    reader.pull(template.newest)
    reader.follow("With cruft", 3)
    changed = re.findall(r"^diff --git \S*?/(\S+)", reader.run("uvx cruft diff"), re.MULTILINE)
    assert changed == ["README.md"]
    reader.follow("With cruft", 1)
    assert reader.has_merged()
    assert status(reader.service) == []


def test_service_can_be_updated_without_cruft(reader: Reader, template: Template) -> None:
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
    assert has_equal_copies(reader.service)


def test_removal_of_an_edited_feature_merges_after_its_edited_files_are_deleted(
    reader: Reader, template: Template
) -> None:
    reader.pull(template.newest)
    reader.follow("With cruft", 0)
    package = "src/truthful_service"
    edited = f"{package}/dependencies/redis/client.py"
    replace(reader.service / edited, r"\A", "# Edited.\n")
    replace(reader.service / package / "app.py", r"\Z", "# Edited.\n")
    imported = "from dev.valkey import Valkey\n"
    replace(reader.service / "dev" / "servers.py", imported, f"{imported}# Edited.\n")
    save(reader.service, "Change what belongs to Redis")
    command = """uvx cruft update -y --variables-to-update '{"redis": false}'"""

    printed = reader.run(command)
    assert f"error: {edited}: patch does not apply\n" in printed.partition("Failed to apply")[0]
    assert (reader.service / edited).exists()
    assert not (reader.service / "dev" / "valkey.py").exists()
    assert imported in (reader.service / "dev" / "servers.py").read_text("utf-8")
    assert "?? dev/servers.py.rej" in status(reader.service)

    reader.follow("Remove a feature whose files you edited", 0, FILE=edited)
    servers = (reader.service / "dev" / "servers.py").read_text("utf-8")
    assert f"<<<<<<< ours\n{imported}# Edited.\n=======\n>>>>>>> theirs\n" in servers
    app = (reader.service / package / "app.py").read_text("utf-8")
    assert "redis" not in app.lower()
    assert app.endswith("# Edited.\n")
    assert not (reader.service / edited).exists()
    assert [line for line in status(reader.service) if line.endswith(".rej")] == []


def test_drill_part_tests_and_patterns_come_by_their_answers(
    reader: Reader, template: Template
) -> None:
    reader.pull(template.newest)
    reader.follow("With cruft", 0)
    assert not (reader.service / "tests" / "health").exists()
    assert not (reader.service / "dev" / "drill").exists()
    reader.follow("The drill, tests of the parts and pattern pages", 0)
    assert (reader.service / "dev" / "drill" / "postgres.py").exists()
    assert "\ndrill: " in (reader.service / "Makefile").read_text("utf-8")
    assert (reader.service / "tests" / "health" / "test_monitor.py").exists()
    assert (reader.service / "docs" / "patterns" / "README.md").exists()
