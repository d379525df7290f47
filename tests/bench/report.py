"""Tells what was measured: lines for a terminal, a document for programs, and a picture."""

import dataclasses
import json
from collections.abc import Sequence
from html import escape
from typing import Any

from .compare import Figure

WIDTH, ROW, LEFT, SCALE = 860, 24, 320, 220
BARS = {True: "#2da44e", False: "#cf222e", None: "#8c959f"}


def row(figure: Figure) -> str:
    """Return a figure in a line, with its target beside it, and marked if it misses that."""
    mark = {True: "ok", False: "MISSED", None: ""}[figure.met]
    what = f"{figure.topic}: {figure.name}"
    return f"{what:56} {_value(figure):>12}  {_target(figure):9} {mark}".rstrip()


def totals(figures: Sequence[Figure]) -> str:
    """Return what it comes to, in a line."""
    aims = [figure for figure in figures if figure.met is not None]
    return f"{sum(figure.met is True for figure in aims)} of {len(aims)} targets met"


def document(about: dict[str, Any], figures: Sequence[Figure]) -> str:
    """Return everything as JSON."""
    listed = [dataclasses.asdict(figure) | {"met": figure.met} for figure in figures]
    return json.dumps({**about, "figures": listed}, indent=1, ensure_ascii=False) + "\n"


def picture(figures: Sequence[Figure]) -> str:
    """Return the figures that have a target as bars, each beside the line that it should not pass.

    All targets stand at the same place, so that one look tells what misses its own.
    """
    aims = [figure for figure in figures if figure.target]
    height = ROW * (len(aims) + 1)
    rows = []
    for number, figure in enumerate(aims):
        assert figure.target
        share = max(figure.value / figure.target, 0)
        length = min(SCALE * share, WIDTH - LEFT - 150)
        y = ROW * number + ROW // 2
        words = escape(f"{figure.topic}: {figure.name}")
        said = escape(f"{_value(figure)} ({_target(figure)})")
        rows.append(
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{words}</text>'
            f'<rect x="{LEFT}" y="{y + 3}" width="{length:.0f}" height="14" rx="2"'
            f' fill="{BARS[figure.met]}"/>'
            f'<text x="{LEFT + max(length, SCALE) + 8:.0f}" y="{y + 14}">{said}</text>'
        )
    line = LEFT + SCALE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        ' font-family="system-ui, sans-serif" font-size="12" fill="#57606a" role="img"'
        f' aria-label="Figures of the benchmark beside their targets">{"".join(rows)}'
        f'<path d="M{line} 4V{height - 4}" stroke="#57606a" stroke-dasharray="3"/></svg>\n'
    )


def _value(figure: Figure) -> str:
    """Round to what a machine tells twice."""
    size = abs(figure.value)
    whole = size >= 1000 or size == round(size)
    digits = 0 if whole else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{figure.value:,.{digits}f} {figure.unit}".strip()


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return f"{'≥' if figure.at_least else '≤'} {figure.target:g} {figure.unit}".strip()
