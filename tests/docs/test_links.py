"""Every link in a document leads somewhere, and every file that is named in prose exists."""

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import pytest
from project import TEMPLATE, files, generate_in

from hooks.post_gen_project import FEATURES
from tools.generate import ROOT

from . import markdown
from .tutorial import NewFile, steps

NOTHING: dict[str, object] = dict.fromkeys(FEATURES, False)
COMBINATIONS: dict[str, dict[str, object]] = {
    "defaults": {},
    "everything": dict.fromkeys(FEATURES, True),
    "nothing": NOTHING,
    "observability": NOTHING | {"observability": True},
    "delivery": NOTHING | {"docker": True, "github": True, "kubernetes": True},
    "others": NOTHING | {"redis": True, "sentinel": True, "kafka": True, "grpc": True},
}
OURS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tests").rglob("*.md")])
SUFFIXES = r"\.(?:json|md|py|toml|yaml|yml)"
EXAMPLES = {"main.py", "production.yaml", "sbom.json"}
"""Files that a reader has or makes."""


@pytest.fixture(scope="module", params=COMBINATIONS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate one service a combination, for all of the tests."""
    return generate_in(tmp_path_factory.mktemp(request.param), **COMBINATIONS[request.param])


def dead_links(documents: Iterable[Path]) -> list[str]:
    """Find the links to files and headings that are not there; other sites are not asked."""
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
    """Find what looks like a file or a folder of the project between back-ticks, and is none."""
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


def test_every_link_in_a_service_leads_somewhere(service: Path) -> None:
    assert dead_links(service.rglob("*.md")) == []


def test_every_file_that_a_service_names_exists(service: Path) -> None:
    tutorial = service / "docs" / "tutorial.md"
    for step in steps(tutorial.read_text("utf-8")):
        if isinstance(step, NewFile):
            (service / step.path).touch()
    assert missing_files(service.rglob("*.md"), service) == []


def test_every_link_in_the_template_leads_somewhere() -> None:
    assert dead_links([*OURS, *TEMPLATE.rglob("*.md")]) == []


def test_every_file_that_the_template_names_exists() -> None:
    assert missing_files(OURS, ROOT) == []


def test_what_leads_nowhere_is_found(tmp_path: Path) -> None:
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
