"""The architecture document says of layers and imports what the code says."""

import re
import tomllib

from project import TEMPLATE

DOCUMENT = (TEMPLATE / "docs" / "architecture.md").read_text("utf-8")


def test_the_layers_of_a_request_are_told_in_the_order_in_which_they_are_put_together() -> None:
    source = (TEMPLATE / "src/reference_service/app.py").read_text("utf-8")
    code = source[source.index("def _middleware") :]
    put = re.findall(r"^        Middleware\((\w+)", code, re.MULTILINE)
    told = re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)
    drawn = re.findall(r"│ (\w+) ", DOCUMENT)
    assert len(put) > 5
    assert [name for name in told if name in put] == put
    assert [name for name in drawn if name in put] == put


def test_who_may_import_whom_is_told_as_the_linter_holds_it() -> None:
    settings = tomllib.loads((TEMPLATE / "pyproject.toml").read_text("utf-8"))
    [layers] = [
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    checked = [re.sub(r"reference_service\.|[()]", "", layer) for layer in layers]
    assert "```text\n" + "\n".join(checked) + "\n```" in DOCUMENT
