"""What the second hook does to a copy of the template folder, on small ones made for it."""

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

Grow = Callable[..., Path]


@pytest.fixture
def grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grow:
    """Run the hook on a folder of the files given, and return the folder."""
    monkeypatch.setattr(post_gen_project, "FEATURES", {"postgres": [], "redis": [], "github": []})

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
        ("a pair or another  # feature: postgres+redis, postgres+core", "a pair or another"),
        ("ours  # feature: core", "ours"),
        ("theirs  # feature: edge", None),
        ("never  # feature: template", None),
        ("# feature: postgres", ""),
        ("prose <!-- feature: postgres -->", "prose"),
        ("prose <!-- feature: redis -->", None),
        ('says "# feature: redis"', 'says "# feature: redis"'),
    ],
)
def test_a_line_stays_when_a_feature_of_its_tag_was_chosen_and_loses_the_tag(
    grow: Grow, line: str, kept: str | None
) -> None:
    made = (grow({"file.txt": f"before\n{line}\nafter\n"}) / "file.txt").read_text()
    assert made == "".join(f"{each}\n" for each in ("before", kept, "after") if each is not None)


def test_a_tag_that_names_no_feature_stops_the_hook_and_says_where(grow: Grow) -> None:
    with pytest.raises(TemplateError, match=r"file\.txt:2 .*unknown feature: \{'postgers'\}"):
        grow({"file.txt": "one\ntwo  # feature: postgers\n"})


def test_an_object_of_a_json_document_is_tagged_by_its_comment(grow: Grow) -> None:
    document = {
        "plain": {"$comment": "as it is", "null": None},
        "mine": {"$comment": "feature: postgres", "deeper": {"$comment": "feature: core"}},
        "declined": {"$comment": "feature: postgres+redis", "deeper": {}},
    }
    root = grow({"tagged.json": json.dumps(document), "plain.json": '{"a":   1}'})
    kept = {"plain": {"$comment": "as it is", "null": None}, "mine": {"deeper": {}}}
    assert json.loads((root / "tagged.json").read_text()) == kept
    assert (root / "plain.json").read_text() == '{"a":   1}'
    schema = {"properties": {"a": {"$comment": "feature: redis"}, "b": {}}, "required": ["a", "b"]}
    root = grow({"tagged.json": json.dumps(schema)})
    kept = {"properties": {"b": {}}, "required": ["b"]}
    assert json.loads((root / "tagged.json").read_text()) == kept
    with pytest.raises(TemplateError, match=r"tagged\.json is tagged with an unknown feature"):
        grow({"tagged.json": '{"a": {"$comment": "feature: postgers"}}'})


def test_what_is_a_link_in_the_template_is_one_again_and_goes_with_its_feature(
    grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post_gen_project, "LINKS", {"chart/rules": "../rules", "none": "x"})
    copied = {"rules/a.yaml": "a\n", "chart/rules/a.yaml": "a\n"}  # as cookiecutter leaves it
    root = grow(copied)
    assert (root / "chart/rules").readlink() == Path("../rules")
    assert (root / "chart/rules/a.yaml").read_text() == "a\n"
    assert not (root / "none").is_symlink()
    monkeypatch.setattr(post_gen_project, "FEATURES", {"redis": ["chart/rules"]})
    assert list(fingerprint(grow({}))) == ["rules", "rules/a.yaml"]


def test_whole_files_and_folders_of_a_declined_feature_go_and_leave_no_empty_folder(
    grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = {
        "postgres": ["both.txt", "mine.txt"],
        "redis": ["both.txt", "a/b", "c/test_redis*.py"],
        "github": [],
    }
    monkeypatch.setattr(post_gen_project, "FEATURES", manifest)
    paths = ["both.txt", "mine.txt", "a/b/c/d.txt", "c/test_redis_one.py", "c/test_redis_two.py"]
    assert list(fingerprint(grow(dict.fromkeys(paths, "")))) == ["mine.txt"]


@pytest.mark.parametrize("chosen", [True, False])
def test_a_manifest_that_lists_what_does_not_exist_stops_the_hook(
    grow: Grow, monkeypatch: pytest.MonkeyPatch, *, chosen: bool
) -> None:
    monkeypatch.setattr(post_gen_project, "FEATURES", {"postgres": ["src/gone*.py"]})
    with pytest.raises(TemplateError, match=r"\['postgres'\] lists src/gone\*\.py, which does not"):
        grow({"file.txt": ""}, postgres=chosen)


def test_names_are_put_into_every_file_and_path(grow: Grow) -> None:
    root = grow(
        {"src/reference_service/reference-service.conf": "reference_service reference-service\n"}
    )
    assert (root / "src/orders/order-service.conf").read_text() == "orders order-service\n"


def test_an_answer_is_not_searched_for_words(grow: Grow) -> None:
    root = grow(
        {"a.md": "Reference Service, Reference Author, reference-service\n"},
        project_name="reference-service",
        author="Reference Service",
        project_slug="reference-service-2",
    )
    assert (
        root / "a.md"
    ).read_text() == "reference-service, Reference Service, reference-service-2\n"


def test_an_answer_that_looks_like_a_tag_is_text(grow: Grow) -> None:
    root = grow({"a.md": "Reference Service\n"}, project_name="A # feature: redis")
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
def test_any_sentence_reads_as_it_was_answered(grow: Grow, answer: str) -> None:
    quoted = {
        "a.py": 'TITLE = "Reference Service"\n',
        "a.toml": 'TITLE = "Reference Service"\n',
        "a.yaml": 'TITLE: "Reference Service"\n',
        "a.yml": 'TITLE: "Reference Service"\n',
        "a.json": '{"TITLE": "Reference Service"}\n',
    }
    prose = "Reference Service\n\n# Reference Service\n\n- Reference Service.\n"
    root = grow({**quoted, "a.md": prose}, project_name=answer)
    read = {name: (root / name).read_text("utf-8") for name in (*quoted, "a.md")}
    assignment = ast.parse(read["a.py"]).body[0]
    assert isinstance(assignment, ast.Assign)
    assert ast.literal_eval(assignment.value) == answer
    assert tomllib.loads(read["a.toml"]) == {"TITLE": answer}
    assert yaml.safe_load(read["a.yaml"]) == yaml.safe_load(read["a.yml"]) == {"TITLE": answer}
    assert json.loads(read["a.json"]) == {"TITLE": answer}
    assert shown(read["a.md"]) == shown("x\n\n# x\n\n- x.\n", answer)


def shown(text: str, answer: str = "x") -> list[tuple[str, str]]:
    """List what Markdown shows: each element with its text, `x` standing for `answer`."""
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return [
        (token.type, token.content.replace("x", answer) if "x" in token.content else token.content)
        for block in markdown.parse(text)
        for token in (block.children or [block])
    ]


def test_a_sentence_in_a_file_without_known_escaping_stops_the_hook(grow: Grow) -> None:
    with pytest.raises(
        TemplateError, match="Makefile contains 'Reference Service', but ESCAPES lacks"
    ):
        grow({"Makefile": "help:\n\techo Reference Service\n"})


def test_pictures_and_modes_are_left_as_they_are(grow: Grow, tmp_path: Path) -> None:
    script = tmp_path / "project" / "run"
    script.parent.mkdir()
    script.touch(0o755)
    picture = b"\x89PNG reference-service \xff"
    root = grow({"run": "exec python -m reference_service\n", "logo.png": picture})
    assert (root / "logo.png").read_bytes() == picture
    assert script.read_text() == "exec python -m orders\n"
    assert script.stat().st_mode & 0o777 == 0o755


def test_what_building_and_running_left_is_not_part_of_the_project(grow: Grow) -> None:
    left = [".venv/bin/python", "src/x/__pycache__/x.pyc", ".ruff_cache/x", "uv.lock", ".data/x/y"]
    assert list(fingerprint(grow(dict.fromkeys([*left, "kept.txt"], "")))) == ["kept.txt"]
