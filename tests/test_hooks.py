"""Properties of both hooks: few imports, no templates, no changes outside the new folder."""

import ast
import re
from pathlib import Path

import pytest
from project import TEMPLATE, Generate, files, fingerprint, generate_in

from tools.generate import ROOT

HOOKS = sorted((ROOT / "hooks").glob("*.py"))


@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.stem)
def test_hook_imports_only_harmless_modules(hook: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(hook.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    assert imported <= {
        "collections.abc",
        "importlib.metadata",
        "json",
        "keyword",
        "pathlib",
        "re",
        "shutil",
        "sys",
        "typing",
    }


@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.stem)
def test_hook_has_one_jinja_expression_for_the_answers(hook: Path) -> None:
    (mark,) = re.findall(r"\{[{%#].*", hook.read_text("utf-8"))
    assert mark.startswith('{{ cookiecutter | tojson }}""")')


def test_generation_changes_nothing_outside_the_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    for name in (".venv/x", "uv.lock", "reference_service/x", "out/neighbor/uv.lock"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("Reference Service  # feature: redis\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    before = fingerprint(home)
    made = generate_in(home, redis=False)
    assert made == home / "out" / "truthful-service"
    of_cookiecutter = {"cookiecutter.yaml", "downloads", "replay", f"replay/{ROOT.name}.json"}
    after = {
        path: content
        for path, content in fingerprint(home).items()
        if not (home / path).is_relative_to(made) and path not in of_cookiecutter
    }
    assert after == before


def test_generation_does_not_change_the_template(generate: Generate) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in [*HOOKS, *files(TEMPLATE)]}

    before = content()
    generate(postgres=False, redis=False, github=False)
    assert content() == before
