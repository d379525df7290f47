"""Reads Markdown documents: their links, their code, and the anchors of their headings."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable("table")


def tokens(document: Path) -> Iterator[Token]:
    """Yield the tokens of a document, without those that only contain others."""
    for token in PARSER.parse(document.read_text("utf-8")):
        yield from token.children or [token]


def links(document: Path) -> Iterator[str]:
    """Yield the targets of its links and images, in Markdown or in HTML."""
    for token in tokens(document):
        if token.type in {"link_open", "image"}:
            yield str(token.attrs.get("href") or token.attrs["src"])
        elif token.type in {"html_block", "html_inline"}:
            yield from re.findall(r'(?:href|src|srcset)="([^"]*)"', token.content)


def code(document: Path) -> Iterator[str]:
    """Yield the text between back-ticks in its prose."""
    return (token.content for token in tokens(document) if token.type == "code_inline")


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub creates for its headings."""
    parsed = PARSER.parse(document.read_text("utf-8"))
    headings = [
        following.content for token, following in pairwise(parsed) if token.type == "heading_open"
    ]
    seen: Counter[str] = Counter()
    found = set()
    for heading in headings:
        words = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{words}-{seen[words]}" if seen[words] else words)
        seen[words] += 1
    return found
