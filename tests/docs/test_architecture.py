"""The architecture document agrees with the code about middleware and imports."""

import re
import tomllib

from project import TEMPLATE

DOCUMENT = (TEMPLATE / "docs" / "architecture.md").read_text("utf-8")


def test_the_middleware_is_listed_and_drawn_in_its_order() -> None:
    source = (TEMPLATE / "src/reference_service/middleware.py").read_text("utf-8")
    code = source[source.index("def middleware") :]
    added = re.findall(r"^ {8}Middleware\(\s*(\w+)", code, re.MULTILINE)
    listed = re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)
    drawn = re.findall(r"│ (\w+) ", DOCUMENT)
    assert len(added) > 5
    assert [name for name in listed if name in added] == added
    assert [name for name in drawn if name in added] == added


def test_the_layers_of_imports_are_those_of_the_linter() -> None:
    settings = tomllib.loads((TEMPLATE / "pyproject.toml").read_text("utf-8"))
    [layers] = [
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    checked = [re.sub(r"reference_service\.|[()]", "", layer) for layer in layers]
    assert "```text\n" + "\n".join(checked) + "\n```" in DOCUMENT
