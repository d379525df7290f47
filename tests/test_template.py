"""What the template folder must be so that renaming and deleting is all that a hook has to do."""

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
def test_no_template_language_stands_in_a_file(path: Path) -> None:
    assert re.findall(r"(?i)cookiecutter|\{%", path.read_text("utf-8")) == []


@every_file
def test_what_looks_like_a_tag_is_one(path: Path) -> None:
    lines = re.findall(r".*feature: *[a-z].*", path.read_text("utf-8"), re.IGNORECASE)
    tag = re.compile(r'"\$comment": "feature: [a-z, +]+",') if path.suffix == ".json" else TAG
    assert [line for line in lines if not tag.search(line)] == []


@every_file
def test_what_stands_for_a_sentence_stands_where_its_answer_is_escaped(path: Path) -> None:
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
def test_every_line_has_room_for_the_longest_names(path: Path) -> None:
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


def test_what_git_ignores_in_the_template_folder_is_not_generated() -> None:
    lines = (TEMPLATE / ".gitignore").read_text("utf-8").splitlines()
    ignored = {line.strip("/") for line in lines if line and not line.startswith("#")}
    assert ignored <= set(BUILD_ARTIFACTS)


def test_every_feature_and_tier_is_asked_for() -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    assert [name for name, default in questions.items() if isinstance(default, bool)] == list(
        FEATURES
    )
    assert tuple(questions["slo_tier"]) == TIERS
    asked = [name for name in questions if not name.startswith("_")]
    assert list(questions["__prompts__"]) == asked


def test_no_default_is_a_word_that_stands_for_an_answer_but_the_description() -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    assert questions["description"] in ESCAPED_PLACEHOLDERS
    assert not {questions["project_name"], questions["author"]} & ESCAPED_PLACEHOLDERS.keys()
