"""`python -m tools.words` finds the words of tools/words.toml and misspelled words."""

import re
from pathlib import Path

import pytest

from tools import words

RULES = words.Rules(
    {re.compile(r"\bbad(ly)?\b", re.IGNORECASE): "good"}, {re.compile(r"\bOldName\b"): "NewName"}
)


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("a Bad word", "Bad: use good"),
        ("said badly", "badly: use good"),
        ("a badge", None),
        ("raises OldName", "OldName: use NewName"),
        ("oldname", None),
    ],
)
def test_word_with_a_replacement_is_reported_with_its_line(
    tmp_path: Path, line: str, finding: str | None
) -> None:
    file = tmp_path / "file.md"
    file.write_text(f"\n{line}\n")
    expected = [f"{file}:2: {finding}"] if finding else []
    assert list(words.find_words(file, RULES)) == expected


def test_changelog_can_contain_old_names_and_tables_but_no_old_phrases(tmp_path: Path) -> None:
    file = tmp_path / "CHANGELOG.md"
    file.write_text("OldName\nbad\n| bad | good |\n")
    assert list(words.find_words(file, RULES)) == [f"{file}:2: bad: use good"]


def test_misspelled_and_british_words_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text("# colour of teh sky\n")
    found = words.find_misspelled([file])
    assert [line.split()[1] for line in found] == ["colour", "teh"]


def test_binary_files_and_build_artifacts_are_not_checked(tmp_path: Path) -> None:
    contents = {"a/text.md": b"x", "a/picture.png": b"\0", ".venv/x.py": b"x", ".build/x.py": b"x"}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert list(words.text_files(tmp_path)) == [tmp_path / "a/text.md"]


def test_command_exits_with_the_findings(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text("A server that does not respond.\n")
    bad.write_text("Whoever knows.\n")
    words.main([str(good)])
    with pytest.raises(SystemExit, match=r"bad\.md:1: Whoever: use name the subject"):
        words.main([str(good), str(bad)])


def test_every_pattern_of_the_list_is_a_regular_expression_with_a_replacement() -> None:
    rules = words.read_rules()
    assert rules.phrases
    assert rules.names
    assert all({**rules.phrases, **rules.names}.values())
