"""The reference of the health API has every public name, parameter and default of the code."""

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import TEMPLATE

PACKAGE = TEMPLATE / "src" / "reference_service"
FILES = [
    file for name in ("health", "traffic", "management") for file in PACKAGE.glob(f"{name}/*.py")
]
DOCUMENT = TEMPLATE / "docs" / "health-api.md"
CREATED_BY_THE_REGISTRY = {"Monitor"}
"""Classes whose constructor is not for users, and not documented."""


def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def public_names() -> list[str]:
    """Return what the packages export."""
    modules = [parse(file) for file in FILES if file.name == "__init__.py"]
    imports = [node for each in modules for node in each.body if isinstance(node, ast.ImportFrom)]
    return [name.asname for node in imports for name in node.names if name.asname]


Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.ClassDef | Function | ast.Assign


def definitions(module: ast.Module) -> dict[str, Definition]:
    """Return the classes, functions and assignments of a module by name."""
    found: dict[str, Definition] = {}
    for node in module.body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                found[node.name] = node
            case ast.Assign(targets=[ast.Name(name)]):
                found[name] = node
    return found


CODE = {name: node for file in FILES for name, node in definitions(parse(file)).items()}


def sections() -> dict[str, str]:
    """Return the text of each section of the document by its heading."""
    _, *parts = re.split(r"^##+ (.*)\n", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def signature(node: Definition) -> Iterator[str]:
    """Yield the decorators, bases, fields, members and public methods of a class."""
    if not isinstance(node, ast.ClassDef):
        yield ast.unparse(_without_body(node) if isinstance(node, Function) else node)
        return
    yield from map(ast.unparse, [*node.decorator_list, *node.bases])
    for item in node.body:
        match item:
            case ast.AnnAssign() | ast.Assign(targets=[ast.Name(id=str())]):
                if not ast.unparse(item).startswith("_"):
                    yield ast.unparse(item)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                is_public = name == "__init__" and node.name not in CREATED_BY_THE_REGISTRY
                if is_public or not name.startswith("_"):
                    yield ast.unparse(_without_body(item)).replace("'", "")


def _without_body(function: Function) -> ast.stmt:
    stub = copy.deepcopy(function)
    stub.body = [ast.Pass()]
    return stub


def mentioned(text: str) -> set[str]:
    """Return the names between back-ticks, without parentheses."""
    return {name.removesuffix("()") for name in re.findall(r"`([^`\n]+)`", text)}


def members(node: ast.ClassDef) -> set[str]:
    """Return the public members of a class and the parameters of its constructor."""
    found: set[str] = set()
    for item in node.body:
        match item:
            case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
                found.add(name)
            case ast.FunctionDef(name="__init__"):
                found |= set(re.findall(r"self\.(\w+) = ", ast.unparse(item)))
                if node.name not in CREATED_BY_THE_REGISTRY:
                    found |= {each.arg for each in ast.walk(item.args) if isinstance(each, ast.arg)}
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
    return {name for name in found - {"self"} if not name.startswith("_")}


def rows(section: str, head: str) -> dict[str, str]:
    """Return the first two cells of a table, found by the first cell of its head."""
    table = sections()[section].split(f"| {head} |")[1].split("\n\n")[0]
    cells = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    return {first.strip().strip("`"): second.strip() for first, second in cells}


def test_every_public_name_has_a_section() -> None:
    assert set(public_names()) <= set(sections())


@pytest.mark.parametrize("name", public_names())
def test_documented_signature_is_that_of_the_code(name: str) -> None:
    stub = sections()[name].split("```python\n")[1].split("```")[0]
    documented = definitions(ast.parse(stub))[name]
    assert list(signature(documented)) == list(signature(CODE[name]))


@pytest.mark.parametrize("name", public_names())
def test_every_parameter_and_member_is_explained(name: str) -> None:
    node = CODE[name]
    if isinstance(node, ast.ClassDef):
        explained = mentioned(re.sub(r"```.*?```", "", sections()[name], flags=re.DOTALL))
        assert members(node) - explained == set()


@pytest.mark.parametrize(
    ("function", "section"),
    [("full_report", "JSON of /health"), ("check_report", "JSON of one check")],
)
def test_every_member_of_the_json_is_explained(function: str, section: str) -> None:
    [body] = [
        node.value
        for definition in parse(PACKAGE / "management" / "report.py").body
        if isinstance(definition, ast.FunctionDef) and definition.name == function
        for node in definition.body
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict)
    ]
    keys = [key.value for key in body.keys if isinstance(key, ast.Constant)]
    assert list(rows(section, "member")) == keys


def test_constants_are_those_of_the_code() -> None:
    code = {
        name: ast.unparse(node.value)
        for name, node in definitions(parse(PACKAGE / "health" / "rules.py")).items()
        if isinstance(node, ast.Assign)
    }
    assert rows("Timing", "constant") == code


def test_log_messages_are_those_of_the_code() -> None:
    source = "".join(file.read_text("utf-8") for file in FILES)
    _, *messages = rows("Logs", "message")
    assert messages
    for message in messages:
        assert f'"{message}"' in source
