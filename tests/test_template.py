"""Rules of the template folder, so that the hook needs only to delete and to rename."""

import io
import json
import re
import tokenize
from pathlib import Path

import pytest
from project import TEMPLATE, files

from hooks.post_gen_project import (
    BUILD_ARTIFACTS,
    ESCAPED_PLACEHOLDERS,
    ESCAPES,
    FEATURES,
    NAME_PLACEHOLDERS,
    TAG,
    TIERS,
)
from hooks.pre_gen_project import MAX_LENGTH, MAX_TITLE_LENGTH
from tools.generate import ROOT

FILES = files(TEMPLATE)
SENTENCE = re.compile("|".join(map(re.escape, ESCAPED_PLACEHOLDERS)))

every_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: str(path.relative_to(TEMPLATE))
)


@every_file
def test_file_contains_no_template_language(path: Path) -> None:
    assert re.findall(r"(?i)cookiecutter|\{%", path.read_text("utf-8")) == []


@every_file
def test_every_tag_has_the_right_form(path: Path) -> None:
    lines = re.findall(r".*feature: *[a-z].*", path.read_text("utf-8"), re.IGNORECASE)
    tag = re.compile(r'"\$comment": "feature: [a-z, +]+",') if path.suffix == ".json" else TAG
    assert [line for line in lines if not tag.search(line)] == []


@every_file
def test_escaped_placeholder_is_in_a_place_with_known_escaping(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not SENTENCE.search(path.name)
    if not SENTENCE.search(text):
        return
    assert path.suffix in ESCAPES
    if path.suffix == ".py":
        strings = [
            token.string
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if SENTENCE.search(token.string)
        ]
        assert all(re.fullmatch('"[^"]+"', string) for string in strings)
    elif path.suffix == ".md":
        code = re.findall(r"`[^`]*`|```.*?```", text, re.DOTALL)
        assert [each for each in code if SENTENCE.search(each)] == []
    else:
        bare = re.sub('"[^"\n]*"', '""', text)
        assert SENTENCE.findall(bare) == []


@every_file
def test_line_is_short_enough_for_the_longest_names(path: Path) -> None:
    if path.suffix == ".py":
        text = path.read_text("utf-8")
        longest = {
            **dict.fromkeys(NAME_PLACEHOLDERS, "x" * MAX_LENGTH),
            "Reference Service": "x" * MAX_TITLE_LENGTH,
        }
        for word, name in longest.items():
            text = text.replace(word, name)
        lines = [
            line.split("  # noqa")[0].split("  # type: ignore")[0] for line in text.splitlines()
        ]
        assert [line for line in lines if len(line) > 100] == []


def test_ignored_files_are_build_artifacts() -> None:
    lines = (TEMPLATE / ".gitignore").read_text("utf-8").splitlines()
    ignored = {line.strip("/") for line in lines if line and not line.startswith("#")}
    assert ignored <= set(BUILD_ARTIFACTS)


def test_every_feature_and_tier_has_a_question() -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    assert [name for name, default in questions.items() if isinstance(default, bool)] == list(
        FEATURES
    )
    assert tuple(questions["slo_tier"]) == TIERS
    asked = [name for name in questions if not name.startswith("_")]
    assert list(questions["__prompts__"]) == asked


def test_only_the_default_description_is_a_placeholder() -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    assert questions["description"] in ESCAPED_PLACEHOLDERS
    assert not {questions["project_name"], questions["author"]} & ESCAPED_PLACEHOLDERS.keys()
