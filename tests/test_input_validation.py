"""Hostile answers: each is refused with its sentence, or becomes exactly what was answered."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from cookiecutter.exceptions import FailedHookException
from project import Generate, files, fingerprint

from hooks import pre_gen_project
from tools.generate import ROOT, settings

LABEL = "is not a DNS label: use lower-case letters, digits and single hyphens"
MODULE = "is not a package name: use lower-case letters, digits and single underscores"
LONG = "x" * 80


@pytest.mark.parametrize(
    ("question", "answer", "sentence"),
    [
        ("project_name", "", 'project_name "" is empty: write at least one word.'),
        ("project_name", " Orders", "starts or ends with white space: remove it."),
        ("project_name", "Two\nlines", "contains the invisible character U+000A: write one line"),
        ("project_name", "Tab\tbed", "U+0009"),
        ("project_name", "Ends \x7f here", "U+007F"),
        ("project_name", "ab\u202egnp.exe", "U+202E"),
        ("project_name", "Zero\u200bwidth", "U+200B"),
        ("project_name", "half \ud83d of a pair", "U+D83D"),
        ("project_name", LONG + "y", "has 81 characters: use at most 80."),
        ("project_name", "{% raw %}{{ x }}{% endraw %}", 'contains "{{", which cookiecutter runs'),
        ("description", "One.\r\nTwo.", "U+000A"),
        ("description", "Page\u2028break", "U+2028"),
        ("description", "", 'description "" is empty'),
        ("author", "Nobody\0", "U+0000"),
        ("project_slug", "Order-Service", f'project_slug "Order-Service" {LABEL}'),
        ("project_slug", "order_service", LABEL),
        ("project_slug", "-orders", LABEL),
        ("project_slug", "orders-", LABEL),
        ("project_slug", "or--ders", LABEL),
        ("project_slug", "2svc", LABEL),
        ("project_slug", "orders\n", LABEL),
        ("project_slug", "бестеллунг", LABEL),
        ("project_slug", "or ders; rm -rf", LABEL),
        ("project_slug", LONG, "has 80 characters: use at most 40."),
        ("project_slug", "fastapi", "is the name of a package that the service depends on"),
        ("project_slug", "python-dotenv", "is the name of a package that the service depends on"),
        ("project_slug", "hatchling", "is the name of a package that the service depends on"),
        ("project_slug", "off", "is a boolean or null in YAML"),
        ("package_name", "", f'package_name "" {MODULE}'),
        ("package_name", "Orders", MODULE),
        ("package_name", "or-ders", MODULE),
        ("package_name", "_orders", MODULE),
        ("package_name", "2svc", MODULE),
        ("package_name", "größe", MODULE),
        ("package_name", "orders.api", MODULE),
        ("package_name", LONG, "has 80 characters: use at most 40."),
        ("package_name", "class", "is a keyword of Python"),
        ("package_name", "match", "is a keyword of Python"),
        ("package_name", "json", "is a module of Python's standard library"),
        ("package_name", "fastapi", "is a package that the service imports"),
        ("package_name", "dotenv", "is a package that the service imports"),
        ("package_name", "tests", "is a folder of the project"),
        ("postgres", 1, 'postgres "1" is neither true nor false'),
    ],
)
def test_a_bad_answer_is_refused_with_its_sentence_and_leaves_nothing(
    generate: Generate,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    question: str,
    answer: object,
    sentence: str,
) -> None:
    with pytest.raises(FailedHookException):
        generate(**{question: answer})
    (said,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith(question)]
    assert sentence in said
    assert list((tmp_path / "out").iterdir()) == []


def test_a_feature_without_what_it_needs_is_refused(
    generate: Generate, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedHookException):
        generate(sentinel=True, redis=False)
    assert (
        "sentinel requires redis: set redis to true, or sentinel to false."
        in capfd.readouterr().err.splitlines()
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_every_fault_is_reported_at_once(
    generate: Generate, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedHookException):
        generate(project_slug="Bad", package_name="import", author="", redis=None)
    said = [line.split()[0] for line in capfd.readouterr().err.splitlines()]
    assert said == ["author", "package_name", "project_slug", "redis"]


def test_a_folder_that_holds_something_already_is_refused_and_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "out" / "truthful-service"
    mine.mkdir(parents=True)
    (mine / "uv.lock").write_text("mine")
    before = fingerprint(mine)
    ended = cookiecutter_command(tmp_path, "--no-input", "--overwrite-if-exists")
    assert ended.returncode == 1
    assert 'The folder "truthful-service" is not empty: generate into a new one' in ended.stderr
    assert fingerprint(mine) == before


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Order Service", "order-service"),
        ('Order & Sons\' "Best" {Service} v2.0', "order-sons-best-service-v2-0"),
        ("../../etc/passwd", "etc-passwd"),
        ("2svc", "svc"),
        ("--help", "help"),
        ("Größe", "grosse"),
        ("注文", "zhu-wen"),
        ("🚀", "service"),
        ("the " * 19 + "end", "the-the-the-the-the-the-the-the-the-the"),
        (LONG, "x" * 40),
    ],
)
def test_the_slug_that_is_offered_is_a_good_one(generate: Generate, name: str, slug: str) -> None:
    made = generate(project_name=name)
    assert made.name == slug
    assert (made / "src" / slug.replace("-", "_")).is_dir()


HOSTILE = [
    'it\'s "quoted" \'\'\'thrice"""',
    "back\\slash\\",
    "{braces} ${more} %(and)s",
    "# feature: redis",
    "<script>alert(1)</script>",
    "Сервис, שירות, 👩‍💻",
    "reference-service",
    "Reference Author",
    "[tool.uv] key = 1 # comment",
]


@pytest.mark.parametrize("answer", HOSTILE)
def test_a_strange_answer_becomes_exactly_what_was_answered(
    generate: Generate, answer: str
) -> None:
    made = generate(project_name=answer, description=answer, author=answer, project_slug="orders")
    project = tomllib.loads((made / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["description"] == answer
    assert project["authors"] == [{"name": answer}]
    for path in files(made):
        match path.suffix:
            case ".py":
                ast.parse(path.read_text("utf-8"))
            case ".toml":
                tomllib.loads(path.read_text("utf-8"))
            case ".yaml" | ".yml" if path.parent.name not in {"templates", "tests"}:  # not Helm's
                list(yaml.safe_load_all(path.read_text("utf-8")))


@pytest.mark.parametrize(
    ("slug", "package"),
    [("reference-service", "reference_service"), ("a", "b"), ("x" * 40, "y" * 40)],
)
def test_a_name_may_be_the_templates_own_or_very_short_or_long(
    generate: Generate, slug: str, package: str
) -> None:
    made = generate(project_slug=slug, package_name=package, project_name="Reference Service")
    assert made.name == slug
    assert (made / "src" / package / "__init__.py").is_file()


def cookiecutter_command(
    folder: Path, *options: str, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter as people do, with what they type."""
    files = ["--config-file", str(settings(folder)), "--output-dir", str(folder / "out")]
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(ROOT), *files, *options],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


def test_answers_on_the_command_line_are_templates_to_cookiecutter_itself(tmp_path: Path) -> None:
    ended = cookiecutter_command(tmp_path, "--no-input", "project_name=Version {{ 6 * 7 }}")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out" / "version-42").is_dir()


def test_answers_that_are_typed_are_not_but_an_update_would_run_them(tmp_path: Path) -> None:
    ended = cookiecutter_command(tmp_path, typed="Version {{ 6 * 7 }}" + "\n" * 20)
    assert ended.returncode == 1
    assert (
        'project_name "Version {{ 6 * 7 }}" contains "{{", which cookiecutter runs' in ended.stderr
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_the_answers_of_the_defaults_have_no_fault() -> None:
    assert (
        list(pre_gen_project.find_errors({"project_name": "A", "redis": True, "_template": ""}))
        == []
    )
