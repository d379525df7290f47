"""Write the table of the chart's values into the service's README: `make docs`.

A row is a value of the first level: what it sets, as values.schema.json describes it, and what lies
below it with its defaults, as values.yaml has them. A row has the tag of the feature that it is of.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from hooks.post_gen_project import COMMENT
from tools.generate import ROOT

SERVICE = ROOT / "{{cookiecutter.project_slug}}"
HEAD = ["| value | sets | below it, with defaults |", "|---|---|---|"]
FEATURE = "kubernetes"


def table(service: Path) -> list[str]:
    """Return the lines of the table for the chart of this service, or of the template folder."""
    chart = service / "deploy" / "chart"
    values = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))
    schema = json.loads((chart / "values.schema.json").read_text("utf-8"))["properties"]
    return HEAD + [row(name, value, schema[name]) for name, value in values.items()]


def row(name: str, value: object, schema: dict[str, Any]) -> str:
    """Return the row of one value."""
    if value and isinstance(value, dict) and schema.get("additionalProperties") is False:
        below = ", ".join(f"`{default(key, each)}`" for key, each in value.items())
        line = f"| `{name}` | {schema['description']} | {below} |"
    else:
        line = f"| `{default(name, value)}` | {schema['description']} | |"
    tag = schema.get(COMMENT)
    return f"{line} <!-- {tag} -->" if tag else line


def default(name: str, value: object) -> str:
    """Return a name with its default, where that is one word."""
    simple = isinstance(value, str | int | float) and value != ""
    return f"{name}: {json.dumps(value).strip(chr(34))}" if simple else name


def written(readme: str, lines: list[str]) -> str:
    """Return the README with these lines in place of the table that it has."""
    old = readme.splitlines()
    start = next(n for n, line in enumerate(old) if line.startswith(HEAD[0]))
    end = next(n for n in range(start, len(old)) if not old[n].startswith("|"))
    return "\n".join([*old[:start], *lines, *old[end:], ""])


def main() -> None:
    """Bring the table of the template folder up to date, where every row has a tag."""
    readme = SERVICE / "README.md"
    lines = [
        line.replace("<!-- feature: ", f"<!-- feature: {FEATURE}+")
        if line.endswith("-->")
        else f"{line} <!-- feature: {FEATURE} -->"
        for line in table(SERVICE)
    ]
    readme.write_text(written(readme.read_text("utf-8"), lines), "utf-8")


if __name__ == "__main__":
    main()
