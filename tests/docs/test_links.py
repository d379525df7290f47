"""Every link in a document works, and every file that a document names exists."""

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import pytest
from project import TEMPLATE, files, generate_in

from hooks.post_gen_project import FEATURES
from tools.generate import ROOT

from . import markdown
from .walkthrough import Command, Edit, NewFile, steps

NOTHING: dict[str, object] = dict.fromkeys(FEATURES, False)
COMBINATIONS: dict[str, dict[str, object]] = {
    "defaults": {},
    "everything": dict.fromkeys(FEATURES, True),
    "nothing": NOTHING,
    "observability": NOTHING | {"observability": True},
    "delivery": NOTHING | {"docker": True, "github": True, "kubernetes": True},
    "others": NOTHING | {"redis": True, "sentinel": True, "kafka": True, "grpc": True},
}
TEMPLATE_DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]
)
SUFFIXES = r"\.(?:json|md|py|toml|yaml|yml)"
EXAMPLES = {"main.py", "production.yaml", "sbom.json"}
"""Files that a reader has or creates."""


@pytest.fixture(scope="module", params=COMBINATIONS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate one service per combination, for all tests."""
    return generate_in(tmp_path_factory.mktemp(request.param), **COMBINATIONS[request.param])


def dead_links(documents: Iterable[Path]) -> list[str]:
    """Find links to missing files and headings. Links to other sites are not followed."""
    dead = []
    for document in documents:
        for link in markdown.links(document):
            path, _, anchor = link.partition("#")
            target = document.parent / unquote(path) if path else document
            if re.match(r"https?:|mailto:", link):
                continue
            if not target.exists() or (anchor and anchor not in markdown.anchors(target)):
                dead.append(f"{document.name}: {link}")
    return dead


def missing_files(documents: Iterable[Path], root: Path) -> list[str]:
    """Find text in back-ticks that looks like a file or folder of the project but is not one."""
    top = [each for each in root.iterdir() if each.name not in {".build", ".git"}]
    names = {path.name for each in top for path in (files(each) if each.is_dir() else [each])}
    folders = "|".join(re.escape(each.name) for each in top if each.is_dir())
    in_folder = re.compile(rf"(?:^|(?<=[\s=]))(?:\./)?((?:{folders})/[\w./*{{}}-]*)(?=$|[\s#`])")
    alone = re.compile(rf"[\w-]+{SUFFIXES}")
    missing = []
    for document in documents:
        for text in markdown.code(document):
            missing += [
                f"{document.name}: {path}"
                for path in in_folder.findall(text)
                if not list(root.glob(path.strip("/")))
            ]
            if alone.fullmatch(text) and text not in names | EXAMPLES:
                missing.append(f"{document.name}: {text}")
    return missing


def created_files(document: Path) -> Iterable[str]:
    """Return the files that exist after a reader has followed the document."""
    for step in steps(document.read_text("utf-8")):
        match step:
            case NewFile(path=path) | Edit(path=path):
                yield path
            case Command(line=line) if line.startswith("mv ") and line.endswith(".py"):
                yield line.split()[-1]


def test_links_of_a_service_work(service: Path) -> None:
    assert dead_links(service.rglob("*.md")) == []


def test_files_that_a_service_names_exist(service: Path) -> None:
    documents = list(service.rglob("*.md"))
    for document in [service / "docs/tutorial.md", *(service / "docs/how-to").glob("*.md")]:
        for path in created_files(document):
            file = service / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.is_dir():
                file.touch()
    assert missing_files(documents, service) == []


def test_links_of_the_template_work() -> None:
    assert dead_links([*TEMPLATE_DOCUMENTS, *TEMPLATE.rglob("*.md")]) == []


def test_files_that_the_template_names_exist() -> None:
    assert missing_files(TEMPLATE_DOCUMENTS, ROOT) == []


def test_dead_links_and_missing_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    document = tmp_path / "README.md"
    document.write_text(
        "# One & two\n[1](#one--two) [2](#three) [3](docs) [4](docs/x.md) <img src='5.png'>\n"
        '<img src="6.png">\n`docs/no.md`, `make -C docs/no`, `docs/`, `no.py`, `README.md`\n',
        "utf-8",
    )
    assert dead_links([document]) == [
        "README.md: #three",
        "README.md: docs/x.md",
        "README.md: 6.png",
    ]
    assert missing_files([document], tmp_path) == [
        "README.md: docs/no.md",
        "README.md: docs/no",
        "README.md: no.py",
    ]
