"""Random answers to the generator's questions, through both hooks."""

import ast
import random
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import yaml
from project import files

from hooks.pre_gen_project import find_errors
from tools.generate import ROOT, settings

TEXTS = ("project_name", "description", "author")
PIECES = (
    "Orders", " ", "  ", "'", '"', "'''", '"""',
    "\\", "\\n", "${x}", "$(id)", "`id`", "%s", "{x}", "{{ x }}",
    "{%", "{#", "#", "# feature: redis",
    "<!-- feature: kafka -->", "<b>", "&amp;", "]]>", "reference_service",
    "Reference Service", "Reference Author", "reference-service", "[a](b)", "|",
    "*", "_", "~~~", "```", "---",
    "\u00e9", "\u05d0", "\u0416", "\u6ce8", "\U0001f680",
    "\u0301", "\u200d", "\u200b", "\u202e", "\ud83d",
    "\ufeff", "\n", "\r", "\t", "\0", "\x1b[31m", "\x7f", "\x85",
    "\u2028", ":", ": ", "- ", "? ", "@", "!", "=",
    "null", "true", "1e3", "0x1", ",", ";", "/", "..",
    "../x", "C:\\x", "--help", "%0a", "&&", "$", "$$", "\u00a0",
)  # fmt: skip
NAMES = (
    "orders", "Orders", "a", "a-b", "a_b", "a--b", "-a",
    "a-", "2a", "a/b", "../a", "a.b", "a b", "", "class",
    "json", "fastapi", "off", "null", "x" * 40,
    "x" * 41, "\u00e9", "a\n", "a\0", "tests", "reference-service",
    "con", "nul", "a$b", "a'b", "{{ a }}", "~", ".", "..", "a\\b",
)  # fmt: skip


GENERATION_TIMEOUT = 120.0


def random_answers(seed: str) -> dict[str, str]:
    """Return some answers, the same for the same seed."""
    choose = random.Random(seed)
    answers = {
        question: "".join(choose.choices(PIECES, k=choose.randint(1, 5))) for question in TEXTS
    }
    answers |= {"project_slug": "orders", "package_name": "orders"}
    if choose.randrange(3) == 0:
        answers[choose.choice(("project_slug", "package_name"))] = choose.choice(NAMES)
    for question in TEXTS:  # so that many answers are valid
        if choose.randrange(3) and any(find_errors({question: answers[question]})):
            answers[question] = "Orders"
    return answers


def literal(answer: str) -> str:
    """Return an answer as cookiecutter must get it, so that it does not run it as a template."""
    return "{{ '" + "".join(f"\\U{ord(character):08x}" for character in answer) + "' }}"


def try_answers(folder: Path, seed: str) -> str:
    """Generate a service from random answers, and return what was wrong, or ""."""
    answers = random_answers(seed)
    errors = list(find_errors(dict(answers)))
    output = folder / "out"
    given = [f"{question}={literal(answer)}" for question, answer in answers.items()]
    options = ["--config-file", str(settings(folder)), "--output-dir", str(output), "--no-input"]
    ended = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(ROOT), *options, *given],
        capture_output=True,
        text=True,
        check=False,
        timeout=GENERATION_TIMEOUT,
    )
    wrong: list[str] = []
    if errors:
        wrong += [f"no sentence {each!r}" for each in errors if each not in ended.stderr]
        wrong += [f"{path} is left" for path in output.rglob("*") if path.is_file()]
        wrong += ["not rejected"] * (ended.returncode == 0)
    elif ended.returncode:
        wrong += [ended.stderr]
    else:
        wrong += differences(output / answers["project_slug"], answers)
    return f"{answers}: {wrong}" if wrong else ""


def differences(made: Path, answers: dict[str, str]) -> Iterator[str]:
    """Yield what a generated service has instead of the answers, and each file that is invalid."""
    project = tomllib.loads((made / "pyproject.toml").read_text("utf-8"))["project"]
    if project["description"] != answers["description"]:
        yield f"description is {project['description']!r}"
    if project["authors"] != [{"name": answers["author"]}]:
        yield f"authors is {project['authors']!r}"
    if project["name"] != answers["project_slug"]:
        yield f"name is {project['name']!r}"
    app = ast.parse((made / "src" / answers["package_name"] / "app.py").read_text("utf-8"))
    titles = [
        ast.literal_eval(node.value)
        for node in app.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TITLE"
    ]
    if titles != [answers["project_name"]]:
        yield f"TITLE is {titles}"
    for path in files(made):
        try:
            parse(path)
        except (SyntaxError, ValueError, yaml.YAMLError) as error:
            yield f"{path.relative_to(made)} is invalid: {error}"


def parse(path: Path) -> None:
    """Raise an exception if a file has no valid content."""
    match path.suffix:
        case ".py":
            ast.parse(path.read_text("utf-8"))
        case ".toml":
            tomllib.loads(path.read_text("utf-8"))
        case ".yaml" | ".yml" if path.parent.name not in {"templates", "tests"}:  # not Helm's
            list(yaml.safe_load_all(path.read_text("utf-8")))
