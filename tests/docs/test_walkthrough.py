"""The reader of documents that the other tests use."""

from pathlib import Path

import pytest

from tools.generate import environment

from .walkthrough import Command, Edit, NewFile, Reader, steps


def test_sentences_above_blocks_become_steps() -> None:
    text = (
        "`a.py`, a new file:\n\n```python\n1\n```\n\n"
        "`a.py`, a new line below `1`:\n\n```python\n2\n```\n\n"
        "`a.py`, instead of `1`:\n\n```python\n3\n```\n\n"
        "```console\n$ cat a.py\n3\n2\n```\n\n```text\nonly read\n```\n"
    )
    assert list(steps(text)) == [
        NewFile("a.py", "1\n"),
        Edit("a.py", "1", "2\n", replaces=False),
        Edit("a.py", "1", "3\n", replaces=True),
        Command("cat a.py", ("3", "2")),
    ]


def test_a_block_without_a_sentence_is_rejected() -> None:
    with pytest.raises(ValueError, match="no sentence says what to do"):
        list(steps("Then:\n\n```python\nprint(1)\n```\n"))


def test_steps_change_files(tmp_path: Path) -> None:
    with Reader(tmp_path, environment(), (1, 2)) as reader:
        reader.perform(NewFile("folder/a.py", "1\n"))
        reader.perform(Edit("folder/a.py", "1", "2\n", replaces=False))
        reader.perform(Edit("folder/a.py", "1", "3\n", replaces=True))
        reader.perform(Command("cat folder/a.py", ("3", "2")))
        with pytest.raises(AssertionError, match="exists already"):
            reader.perform(NewFile("folder/a.py", ""))
        with pytest.raises(AssertionError, match="'4'"):
            reader.perform(Edit("folder/a.py", "4", "", replaces=True))


def test_output_that_is_not_shown_fails_the_step(tmp_path: Path) -> None:
    with Reader(tmp_path, environment(), (1, 2)) as reader:
        reader.perform(Command("echo one two", ("two",)))
        with pytest.raises(AssertionError, match="one two"):
            reader.perform(Command("echo one two", ("three",)))
        with pytest.raises(AssertionError):
            reader.perform(Command("false", ()))
