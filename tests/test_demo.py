"""The README shows what `make demo` prints, and its picture what `make recording` runs."""

import re
from html import unescape

from tools.demo import break_commands
from tools.generate import ROOT
from tools.recording import PICTURE, draw, session


def test_the_documents_have_the_commands_that_the_demo_prints() -> None:
    freeze, resume, look = break_commands(8000)
    readme = (ROOT / "README.md").read_text("utf-8")
    evidence = (ROOT / "docs" / "evidence.md").read_text("utf-8")
    for line in freeze.splitlines():
        assert f"$ {line}" in readme
        assert f"$ {line}" in evidence
    assert f"$ {resume.splitlines()[-1]}" in evidence
    assert f"$ {look.partition('  ')[0]}" in readme


def test_the_picture_has_every_command_of_the_session() -> None:
    texts = re.findall(r"<text[^>]*>(.*?)</text>", PICTURE.read_text("utf-8"))
    shown = [unescape(text).replace("\xa0", " ") for text in texts]
    commands = [line for _, command, _ in session() for line in command.splitlines()]
    assert [line[2:] for line in shown if line.startswith("$ ")] == ["make demo", *commands]


def test_the_picture_loads_nothing_and_keeps_spaces_and_special_characters() -> None:
    picture = draw(["$ a  <b> & 'c'", "[-]failed"])
    assert "$&#160;a&#160;&#160;&lt;b&gt;&#160;&amp;" in picture
    assert "href" not in picture
    assert "url(" not in picture
