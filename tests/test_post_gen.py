"""The second hook deletes and renames in a copy of the template folder: small invented ones."""

import ast
import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from project import fingerprint

from hooks import post_gen_project
from hooks.post_gen_project import TemplateError

DESCRIPTION = "A FastAPI service whose health checks tell the truth."
ANSWERS = {
    "project_name": "Order Service",
    "project_slug": "order-service",
    "package_name": "orders",
    "description": "Takes orders.",
    "author": "Ada",
    "slo_tier": "core",
    "postgres": True,
    "redis": False,
    "github": False,
}

Run = Callable[..., Path]


@pytest.fixture
def run_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the hook on a folder of the files given, and return the folder."""
    monkeypatch.setattr(post_gen_project, "FEATURES", {"postgres": [], "redis": [], "github": []})
    monkeypatch.setattr(post_gen_project, "SHARED", {})

    def run(contents: dict[str, str | bytes], **answers: object) -> Path:
        root = tmp_path / "project"
        for name, content in contents.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        post_gen_project.main({**ANSWERS, **answers}, root)
        return root

    return run


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("plain", "plain"),
        ("chosen  # feature: postgres", "chosen"),
        ("declined  # feature: redis", None),
        ("any of them  # feature: redis, postgres", "any of them"),
        ("none of them  # feature: redis, github", None),
        ("both of them  # feature: postgres+core", "both of them"),
        ("only one of them  # feature: postgres+redis", None),
        ("one of two pairs  # feature: postgres+redis, postgres+core", "one of two pairs"),
        ("chosen tier  # feature: core", "chosen tier"),
        ("other tier  # feature: edge", None),
        ("never  # feature: template", None),
        ("# feature: postgres", ""),
        ("prose <!-- feature: postgres -->", "prose"),
        ("prose <!-- feature: redis -->", None),
        ('says "# feature: redis"', 'says "# feature: redis"'),
    ],
)
def test_line_of_a_chosen_feature_is_kept_without_its_tag(
    run_hook: Run, line: str, kept: str | None
) -> None:
    made = (run_hook({"file.txt": f"before\n{line}\nafter\n"}) / "file.txt").read_text()
    assert made == "".join(f"{each}\n" for each in ("before", kept, "after") if each is not None)


def test_tag_with_an_unknown_feature_stops_the_hook_with_its_place(run_hook: Run) -> None:
    with pytest.raises(TemplateError, match=r"file\.txt:2 .*unknown feature: \{'postgers'\}"):
        run_hook({"file.txt": "one\ntwo  # feature: postgers\n"})


def test_comment_tags_its_json_object(run_hook: Run) -> None:
    document = {
        "plain": {"$comment": "as it is", "null": None},
        "chosen": {"$comment": "feature: postgres", "deeper": {"$comment": "feature: core"}},
        "declined": {"$comment": "feature: postgres+redis", "deeper": {}},
    }
    root = run_hook({"tagged.json": json.dumps(document), "plain.json": '{"a":   1}'})
    kept = {"plain": {"$comment": "as it is", "null": None}, "chosen": {"deeper": {}}}
    assert json.loads((root / "tagged.json").read_text()) == kept
    assert (root / "plain.json").read_text() == '{"a":   1}'
    schema = {"properties": {"a": {"$comment": "feature: redis"}, "b": {}}, "required": ["a", "b"]}
    root = run_hook({"tagged.json": json.dumps(schema)})
    kept = {"properties": {"b": {}}, "required": ["b"]}
    assert json.loads((root / "tagged.json").read_text()) == kept
    with pytest.raises(TemplateError, match=r"tagged\.json is tagged with an unknown feature"):
        run_hook({"tagged.json": '{"a": {"$comment": "feature: postgers"}}'})


@pytest.mark.parametrize(
    "linked",
    [{"chart/rules/a.yaml": "a\n"}, {"chart/rules": "../rules"}],
    ids=["copied by cookiecutter", "text file of a zip archive"],
)
def test_link_becomes_a_copy_and_is_deleted_with_its_feature(
    run_hook: Run, monkeypatch: pytest.MonkeyPatch, linked: dict[str, str]
) -> None:
    monkeypatch.setattr(post_gen_project, "LINKS", {"chart/rules": "rules", "none": "rules"})
    root = run_hook({"rules/a.yaml": "a\n", **linked})
    assert not (root / "chart/rules").is_symlink()
    assert (root / "chart/rules/a.yaml").read_text() == "a\n"
    assert not (root / "none").exists()
    monkeypatch.setattr(post_gen_project, "FEATURES", {"redis": ["chart/rules"]})
    assert list(fingerprint(run_hook({}))) == ["rules", "rules/a.yaml"]


def test_line_endings_of_windows_become_those_of_unix(run_hook: Run) -> None:
    root = run_hook({"a.txt": "one\r\ntwo  # feature: redis\r\n", "b.png": b"\xff\r\n"})
    assert (root / "a.txt").read_bytes() == b"one\n"
    assert (root / "b.png").read_bytes() == b"\xff\r\n"


def test_files_of_a_declined_feature_are_deleted_without_empty_folders(
    run_hook: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = {
        "postgres": ["both.txt", "kept.txt"],
        "redis": ["both.txt", "a/b", "c/test_redis*.py"],
        "github": [],
    }
    monkeypatch.setattr(post_gen_project, "FEATURES", manifest)
    paths = ["both.txt", "kept.txt", "a/b/c/d.txt", "c/test_redis_one.py", "c/test_redis_two.py"]
    assert list(fingerprint(run_hook(dict.fromkeys(paths, "")))) == ["kept.txt"]


@pytest.mark.parametrize(("redis", "kept"), [(True, ["shared.txt"]), (False, [])])
def test_shared_file_is_deleted_if_none_of_its_features_is_chosen(
    run_hook: Run, monkeypatch: pytest.MonkeyPatch, *, redis: bool, kept: list[str]
) -> None:
    monkeypatch.setattr(post_gen_project, "SHARED", {"redis, github": ["shared.txt"]})
    root = run_hook({"shared.txt": ""}, redis=redis, github=False)
    assert list(fingerprint(root)) == kept


@pytest.mark.parametrize("chosen", [True, False])
def test_feature_with_a_missing_path_stops_the_hook(
    run_hook: Run, monkeypatch: pytest.MonkeyPatch, *, chosen: bool
) -> None:
    monkeypatch.setattr(post_gen_project, "FEATURES", {"postgres": ["src/gone*.py"]})
    with pytest.raises(TemplateError, match=r"\['postgres'\] lists src/gone\*\.py, which does not"):
        run_hook({"file.txt": ""}, postgres=chosen)


def test_names_replace_placeholders_in_files_and_paths(run_hook: Run) -> None:
    root = run_hook(
        {"src/reference_service/reference-service.conf": "reference_service reference-service\n"}
    )
    assert (root / "src/orders/order-service.conf").read_text() == "orders order-service\n"


def test_placeholders_in_answers_are_not_replaced(run_hook: Run) -> None:
    root = run_hook(
        {"a.md": "Reference Service, Reference Author, reference-service\n"},
        project_name="reference-service",
        author="Reference Service",
        project_slug="reference-service-2",
    )
    assert (
        root / "a.md"
    ).read_text() == "reference-service, Reference Service, reference-service-2\n"


def test_tag_in_an_answer_is_text(run_hook: Run) -> None:
    root = run_hook({"a.md": "Reference Service\n"}, project_name="A # feature: redis")
    assert (root / "a.md").read_text() == "A # feature: redis\n"


HOSTILE = [
    'it\'s "quoted" \\ \'\'\'thrice""" \\"',
    "ends in \\",
    "{x} ${y} %(z)s #{n} $HOME `id` $(id) %PATH%",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "23) item",
    "> quote",
    "===",
    "---",
    "***",
    "~~~ fence",
    "``` fence",
    "| a | b |",
    "*bold* _it_ **b** __b__ ~~gone~~ `code`",
    "[text](target) ![image](target) [ref]: <target> [^1]",
    "<b>bold</b> <script>alert(1)</script> <!-- gone --> &lt; &#65; <a@b.c>",
    "key: value # comment",
    "Сервис заказов, שירות הזמנות, 注文, 👩‍💻",
    "]]> */ --> ?> EOF",
]


@pytest.mark.parametrize("answer", HOSTILE)
def test_answer_is_escaped_for_its_file_type(run_hook: Run, answer: str) -> None:
    quoted = {
        "a.py": 'TITLE = "Reference Service"\n',
        "a.toml": 'TITLE = "Reference Service"\n',
        "a.yaml": 'TITLE: "Reference Service"\n',
        "a.yml": 'TITLE: "Reference Service"\n',
        "a.json": '{"TITLE": "Reference Service"}\n',
    }
    prose = "Reference Service\n\n# Reference Service\n\n- Reference Service.\n"
    root = run_hook({**quoted, "a.md": prose}, project_name=answer)
    read = {name: (root / name).read_text("utf-8") for name in (*quoted, "a.md")}
    assignment = ast.parse(read["a.py"]).body[0]
    assert isinstance(assignment, ast.Assign)
    assert ast.literal_eval(assignment.value) == answer
    assert tomllib.loads(read["a.toml"]) == {"TITLE": answer}
    assert yaml.safe_load(read["a.yaml"]) == yaml.safe_load(read["a.yml"]) == {"TITLE": answer}
    assert json.loads(read["a.json"]) == {"TITLE": answer}
    assert shown(read["a.md"]) == shown("x\n\n# x\n\n- x.\n", answer)


def shown(text: str, answer: str = "x") -> list[tuple[str, str]]:
    """Return each element that Markdown shows with its text. `x` is a placeholder for `answer`."""
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return [
        (token.type, token.content.replace("x", answer) if "x" in token.content else token.content)
        for block in markdown.parse(text)
        for token in (block.children or [block])
    ]


def test_placeholder_in_an_unknown_file_type_stops_the_hook(run_hook: Run) -> None:
    with pytest.raises(
        TemplateError, match="Makefile contains 'Reference Service', but ESCAPES lacks"
    ):
        run_hook({"Makefile": "help:\n\techo Reference Service\n"})


def test_binary_files_and_modes_are_unchanged(run_hook: Run, tmp_path: Path) -> None:
    script = tmp_path / "project" / "run"
    script.parent.mkdir()
    script.touch(0o755)
    picture = b"\x89PNG reference-service \xff"
    root = run_hook({"run": "exec python -m reference_service\n", "logo.png": picture})
    assert (root / "logo.png").read_bytes() == picture
    assert script.read_text() == "exec python -m orders\n"
    assert script.stat().st_mode & 0o777 == 0o755


def test_build_artifacts_are_deleted(run_hook: Run) -> None:
    left = [".venv/bin/python", "src/x/__pycache__/x.pyc", ".ruff_cache/x", "uv.lock", ".data/x/y"]
    assert list(fingerprint(run_hook(dict.fromkeys([*left, "kept.txt"], "")))) == ["kept.txt"]
