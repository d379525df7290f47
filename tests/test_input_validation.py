"""Each unusual answer is rejected with its sentence, or appears in the service unchanged."""

import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from string import Template

import pytest
import yaml
from cookiecutter.exceptions import FailedHookException
from fuzz.answers import parse
from project import Generate, files, fingerprint

from hooks import pre_gen_project
from hooks.post_gen_project import FEATURES
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
def test_invalid_answer_is_rejected_with_its_sentence_and_leaves_no_files(
    generate: Generate,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    question: str,
    answer: object,
    sentence: str,
) -> None:
    with pytest.raises(FailedHookException):
        generate(**{question: answer})
    (error,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith(question)]
    assert sentence in error
    assert list((tmp_path / "out").iterdir()) == []


def test_slug_with_a_slash_is_rejected_and_leaves_no_file(
    generate: Generate, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """cookiecutter creates both folders before the hook runs, and deletes only the inner one."""
    with pytest.raises(FailedHookException):
        generate(project_slug="a/b", package_name="orders")
    assert f'project_slug "a/b" {LABEL}' in capfd.readouterr().err
    assert [str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*")] == [
        "a"
    ]


def test_feature_without_a_required_feature_is_rejected(
    generate: Generate, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedHookException):
        generate(sentinel=True, redis=False)
    assert (
        "sentinel requires redis: set redis to true, or sentinel to false."
        in capfd.readouterr().err.splitlines()
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_all_errors_are_reported_at_once(
    generate: Generate, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedHookException):
        generate(project_slug="Bad", package_name="import", author="", redis=None)
    reported = [line.split()[0] for line in capfd.readouterr().err.splitlines()]
    assert reported == ["author", "package_name", "project_slug", "redis"]


OVERWRITE = ["--overwrite-if-exists"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], 'truthful-service" directory already exists'),
        (OVERWRITE, 'The folder "truthful-service" is not empty: generate into a new one'),
        ([*OVERWRITE, "--skip-if-file-exists"], 'The folder "truthful-service" is not empty'),
    ],
)
def test_existing_folder_with_files_is_rejected_and_unchanged(
    tmp_path: Path, options: list[str], sentence: str
) -> None:
    mine = tmp_path / "out" / "truthful-service"
    mine.mkdir(parents=True)
    (mine / "uv.lock").write_text("mine")
    before = fingerprint(mine)
    ended = cookiecutter_command(tmp_path, "--no-input", *options)
    assert ended.returncode == 1
    assert sentence in ended.stdout + ended.stderr
    assert fingerprint(mine) == before


def test_replay_generates_the_same_service_again(tmp_path: Path) -> None:
    answers = ["project_name=Orders $1", "kafka=true", "redis=no", "slo_tier=edge"]
    assert cookiecutter_command(tmp_path, "--no-input", *answers).returncode == 0
    made = tmp_path / "out" / "orders-1"
    first = fingerprint(made)
    (recorded,) = (tmp_path / "replay").glob("*.json")
    for option in ("--replay", f"--replay-file={recorded}"):
        shutil.rmtree(made)
        ended = cookiecutter_command(tmp_path, option)
        assert ended.returncode == 0, ended.stderr
        assert fingerprint(made) == first


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
def test_default_slug_of_any_name_is_valid(generate: Generate, name: str, slug: str) -> None:
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
def test_unusual_answer_appears_unchanged_in_the_metadata(generate: Generate, answer: str) -> None:
    made = generate(project_name=answer, description=answer, author=answer, project_slug="orders")
    project = tomllib.loads((made / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["description"] == answer
    assert project["authors"] == [{"name": answer}]
    compose = yaml.safe_load((made / "compose.yaml").read_text("utf-8"))
    interpolated = Template(compose["services"]["service"]["build"]["args"]["DESCRIPTION"])
    assert interpolated.substitute() == answer  # as Compose does it
    for path in files(made):
        parse(path)


@pytest.mark.parametrize(
    ("slug", "package"),
    [("reference-service", "reference_service"), ("a", "b"), ("x" * 40, "y" * 40)],
)
def test_names_can_be_placeholders_or_have_the_shortest_or_longest_length(
    generate: Generate, slug: str, package: str
) -> None:
    made = generate(project_slug=slug, package_name=package, project_name="Reference Service")
    assert made.name == slug
    assert (made / "src" / package / "__init__.py").is_file()


def cookiecutter_command(
    folder: Path, *options: str, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter as a command. `typed` is its standard input."""
    files = ["--config-file", str(settings(folder)), "--output-dir", str(folder / "out")]
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(ROOT), *files, *options],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_line_answer_is_rendered_as_a_template_by_cookiecutter(tmp_path: Path) -> None:
    ended = cookiecutter_command(tmp_path, "--no-input", "project_name=Version {{ 6 * 7 }}")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out" / "version-42").is_dir()


def test_typed_answer_with_a_template_is_rejected(tmp_path: Path) -> None:
    ended = cookiecutter_command(tmp_path, typed="Version {{ 6 * 7 }}" + "\n" * 20)
    assert ended.returncode == 1
    assert (
        'project_name "Version {{ 6 * 7 }}" contains "{{", which cookiecutter runs' in ended.stderr
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_cookiecutter_without_booleans_is_rejected_with_its_version() -> None:
    """Before 2.2, cookiecutter passes a boolean as text."""
    answers = dict.fromkeys(FEATURES, "True")
    with pytest.raises(SystemExit, match=f"^cookiecutter {version('cookiecutter')} is too old, "):
        pre_gen_project.main({**answers, "redis": "False"})


def test_valid_answers_have_no_errors() -> None:
    assert (
        list(pre_gen_project.find_errors({"project_name": "A", "redis": True, "_template": ""}))
        == []
    )
