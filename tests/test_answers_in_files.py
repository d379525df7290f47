"""Each file that repeats an answer is read with its own parser, and has the answer unchanged."""

import ast
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
import yaml
from chart.helm import Chart
from docs.markdown import PARSER
from project import files, generate_in

ANSWERS = [
    "Costs $100 in ${HOME}, $$ and $(id)",
    "`id` \\n \\ \\\\ 'one' \"two\" '''three\"\"\"",
    "50 % of {a: b} #1, { %s}: %(x)s {braces} \\{",
    "- [link](https://example.com) *bold* _it_ ~~no~~ | <!-- x --> <b> &amp;",
    "1. First: Größe, 日本語, 👩 & co.",
    "--- # title: !!python/object [x] >- @at",
    "null",
]


def words(document: Path) -> Iterator[str]:
    """Yield the text of each heading and paragraph. Any other markup is an error."""
    for token in PARSER.parse(document.read_text("utf-8")):
        if token.type == "inline":
            yield "".join(child.content for child in token.children or [] if child.type == "text")


@pytest.mark.parametrize("answer", ANSWERS)
def test_answer_is_read_unchanged_from_each_file_that_has_it(tmp_path: Path, answer: str) -> None:
    made = generate_in(
        tmp_path, project_name=answer, description=answer, author=answer, project_slug="orders"
    )
    checked = {
        "README.md",
        "compose.yaml",
        "deploy/chart/Chart.yaml",
        "deploy/chart/dashboards/postgres.json",
        "deploy/chart/dashboards/service.json",
        "deploy/grafana/postgres.json",
        "deploy/grafana/service.json",
        "deploy/openslo.yaml",
        "pyproject.toml",
        "src/orders/app.py",
    }

    texts = words(made / "README.md")
    assert [next(texts), next(texts)] == [answer, answer]

    build = yaml.safe_load((made / "compose.yaml").read_text("utf-8"))["services"]["service"]
    assert Template(build["build"]["args"]["DESCRIPTION"]).substitute() == answer

    chart = Chart(made / "deploy" / "chart")
    assert chart.metadata["description"] == answer
    assert yaml.safe_load((chart.folder / "Chart.yaml").read_text())["maintainers"] == [
        {"name": answer}
    ]
    assert [each for each in chart.lint() if "icon is recommended" not in each] == []
    dashboards = [
        json.loads(text)
        for each in chart.objects({"monitoring": {"dashboards": True}})
        if each["kind"] == "ConfigMap"
        for name, text in each["data"].items()
        if name.endswith(".json")
    ]
    assert sorted(each["title"] for each in dashboards) == [answer, f"{answer}: PostgreSQL"]

    catalog = yaml.safe_load_all((made / "deploy" / "openslo.yaml").read_text("utf-8"))
    assert next(catalog)["spec"]["description"] == answer

    project = tomllib.loads((made / "pyproject.toml").read_text("utf-8"))["project"]
    assert (project["description"], project["authors"]) == (answer, [{"name": answer}])

    module = ast.parse((made / "src/orders/app.py").read_text("utf-8"))
    assert answer in {each.value for each in ast.walk(module) if isinstance(each, ast.Constant)}

    names = dict.fromkeys(("project_name", "description", "author"), "Other")
    other = generate_in(tmp_path / "other", project_slug="orders", **names)
    different = {
        str(path.relative_to(made))
        for path in files(made)
        if path.read_bytes() != (other / path.relative_to(made)).read_bytes()
    }
    assert different == checked
