"""Format the measurements: rows for a terminal, a JSON document, and a chart."""

import dataclasses
import json
from collections.abc import Sequence
from html import escape
from typing import Any

from .compare import Measurement

WIDTH, ROW_HEIGHT, BAR_LEFT, TARGET_LENGTH = 910, 24, 370, 220
COLORS = {True: "#2da44e", False: "#cf222e", None: "#8c959f"}


def table_row(measurement: Measurement) -> str:
    """Return a row with the value and its target, marked if it misses the target."""
    mark = {True: "ok", False: "MISSED", None: ""}[measurement.meets_target]
    title = f"{measurement.topic}: {measurement.name}"
    return f"{title:56} {_value(measurement):>12}  {_target(measurement):9} {mark}".rstrip()


def summary_line(measurements: Sequence[Measurement]) -> str:
    """Return how many targets are met."""
    with_target = [each for each in measurements if each.meets_target is not None]
    met = sum(each.meets_target is True for each in with_target)
    return f"{met} of {len(with_target)} targets met"


def json_document(conditions: dict[str, Any], measurements: Sequence[Measurement]) -> str:
    """Return everything as JSON."""
    listed = [
        dataclasses.asdict(each) | {"meets_target": each.meets_target} for each in measurements
    ]
    document = {**conditions, "measurements": listed}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def svg_chart(measurements: Sequence[Measurement]) -> str:
    """Return a chart with one bar per measurement that has a target.

    The bars are scaled so that all targets lie on the same line.
    """
    with_target = [each for each in measurements if each.target]
    height = ROW_HEIGHT * (len(with_target) + 1)
    rows = []
    for number, measurement in enumerate(with_target):
        assert measurement.target
        share = max(measurement.value / measurement.target, 0)
        length = min(TARGET_LENGTH * share, WIDTH - BAR_LEFT - 150)
        y = ROW_HEIGHT * number + ROW_HEIGHT // 2
        title = escape(f"{measurement.topic}: {measurement.name}")
        label = escape(f"{_value(measurement)} ({_target(measurement)})")
        rows.append(
            f'<text x="{BAR_LEFT - 8}" y="{y + 14}" text-anchor="end">{title}</text>'
            f'<rect x="{BAR_LEFT}" y="{y + 3}" width="{length:.0f}" height="14" rx="2"'
            f' fill="{COLORS[measurement.meets_target]}"/>'
            f'<text x="{BAR_LEFT + max(length, TARGET_LENGTH) + 8:.0f}" y="{y + 14}">{label}</text>'
        )
    line = BAR_LEFT + TARGET_LENGTH
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        ' font-family="system-ui, sans-serif" font-size="12" fill="#57606a" role="img"'
        f' aria-label="Benchmark measurements and their targets">{"".join(rows)}'
        f'<path d="M{line} 4V{height - 4}" stroke="#57606a" stroke-dasharray="3"/></svg>\n'
    )


def _value(measurement: Measurement) -> str:
    """Return the value with as many digits as are reproducible."""
    size = abs(measurement.value)
    if size >= 1000 or size == round(size):
        digits = 0
    else:
        digits = 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{measurement.value:,.{digits}f} {measurement.unit}".strip()


def _target(measurement: Measurement) -> str:
    if measurement.target is None:
        return ""
    sign = "≥" if measurement.at_least else "≤"
    return f"{sign} {measurement.target:g} {measurement.unit}".strip()
