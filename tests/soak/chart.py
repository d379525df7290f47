"""Draw the soak: latency, limit, memory and verdict over the same time, with the faults marked."""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from .samples import Sample
from .schedule import Interval

WIDTH, LEFT, RIGHT, TOP = 1000, 80, 20, 30
ROW, GAP = 120, 34
VERDICT_COLORS = {"pass": "#2da44e", "warn": "#bf8700", "fail": "#cf222e", "none": "#8250df"}
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #57606a }
.frame { fill: none; stroke: #8c959f; stroke-opacity: .5 }
.fault { fill: #8c959f; fill-opacity: .22 }
.line { fill: none; stroke-width: 1.3 }
.a { stroke: #0969da } .b { stroke: #cf222e }
text.a { fill: #0969da; stroke: none } text.b { fill: #cf222e; stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 }
.a { stroke: #4493f8 } .b { stroke: #f85149 }
text.a { fill: #4493f8 } text.b { fill: #f85149 }
}
"""
Line = tuple[str, str, Callable[[Sample], float | None]]
"""A name, a class of the style, and the value of a sample."""


def svg_chart(samples: Sequence[Sample], faults: Sequence[Interval]) -> str:
    """Return four rows over one time axis in seconds, and the names of the faults below."""
    end = max([sample.at for sample in samples] + [fault.ended for fault in faults])
    x = _scale(end)
    names = list(dict.fromkeys(fault.name for fault in faults))
    bottom = TOP + 4 * (ROW + GAP)
    height = bottom + 18 * math.ceil(len(names) / 3) + 10
    parts = [
        *_fault_bands(faults, names, x, bottom - GAP),
        *_row(
            0,
            "latency of successes in ms (log)",
            samples,
            x,
            [("p50", "a", lambda each: each.p50), ("p99", "b", lambda each: each.p99)],
            log=True,
        ),
        *_row(1, "http_concurrency_limit", samples, x, [("", "a", lambda each: each.limit)]),
        *_row(2, "heap in MB", samples, x, [("", "a", lambda each: each.heap)]),
        *_verdicts(samples, x),
        *_time_axis(end, x, bottom - GAP + 15),
        *_legend(names, bottom + 8),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        ' role="img" aria-label="Latency, limit, memory and verdict during the soak">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def _scale(end: float) -> Callable[[float], float]:
    return lambda at: LEFT + (WIDTH - LEFT - RIGHT) * at / end


def _fault_bands(
    faults: Sequence[Interval], names: Sequence[str], x: Callable[[float], float], bottom: int
) -> Iterator[str]:
    for fault in faults:
        left, width = x(fault.started), max(x(fault.ended) - x(fault.started), 1.5)
        yield (
            f'<rect class="fault" x="{left:.1f}" y="{TOP}" width="{width:.1f}"'
            f' height="{bottom - TOP}"><title>{escape(fault.name)}</title></rect>'
        )
        if len(faults) <= 40:
            number = names.index(fault.name) + 1
            yield f'<text x="{left + width / 2:.1f}" y="12" text-anchor="middle">{number}</text>'


def _row(
    number: int,
    title: str,
    samples: Sequence[Sample],
    x: Callable[[float], float],
    lines: Sequence[Line],
    *,
    log: bool = False,
) -> Iterator[str]:
    """Yield a frame, its lowest and highest value, and the lines. Missing values leave gaps."""
    top = TOP + number * (ROW + GAP)
    values = [value for _, _, get in lines for each in samples if (value := get(each))]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low, high = (low, high) if log else (0.0, high)
    high = high if high > low else low + 1

    def y(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if log else value / high
        return top + ROW - (ROW - 8) * share

    width = WIDTH - LEFT - RIGHT
    yield f'<rect class="frame" x="{LEFT}" y="{top}" width="{width}" height="{ROW}"/>'
    yield f'<text x="{LEFT}" y="{top - 5}">{escape(title)}</text>'
    yield f'<text x="{LEFT - 6}" y="{top + 12}" text-anchor="end">{high:,.0f}</text>'
    yield f'<text x="{LEFT - 6}" y="{top + ROW}" text-anchor="end">{low:,.0f}</text>'
    for place, (name, style, get) in enumerate(lines):
        path, pen = [], "M"
        for sample in samples:
            value = get(sample)
            if not value:
                pen = "M"
                continue
            path.append(f"{pen}{x(sample.at):.1f} {y(value):.1f}")
            pen = "L"
        yield f'<path class="line {style}" d="{"".join(path)}"/>'
        if name:
            at = LEFT + 220 + 40 * place
            yield f'<text class="{style}" x="{at}" y="{top - 5}">{name}</text>'


def _verdicts(samples: Sequence[Sample], x: Callable[[float], float]) -> Iterator[str]:
    """Yield one bar per sample, in the color of its verdict."""
    top = TOP + 3 * (ROW + GAP)
    yield f'<text x="{LEFT}" y="{top - 5}">ready:</text>'
    for place, (verdict, color) in enumerate(VERDICT_COLORS.items()):
        at = LEFT + 50 + 60 * place
        yield f'<rect x="{at}" y="{top - 14}" width="10" height="10" fill="{color}"/>'
        yield f'<text x="{at + 14}" y="{top - 5}">{verdict}</text>'
    start = 0.0
    for sample in samples:
        width = max(x(sample.at) - x(start), 0.5)
        yield (
            f'<rect x="{x(start):.1f}" y="{top}" width="{width:.1f}" height="{ROW}"'
            f' fill="{VERDICT_COLORS[sample.verdict]}" fill-opacity=".75">'
            f"<title>{escape(' '.join(sample.failing) or sample.verdict)}</title></rect>"
        )
        start = sample.at


def _time_axis(end: float, x: Callable[[float], float], y: float) -> Iterator[str]:
    step = max(10, 60 * math.ceil(end / 600)) if end > 120 else 10
    for at in range(0, int(end) + 1, step):
        yield f'<text x="{x(at):.1f}" y="{y}" text-anchor="middle">{at} s</text>'


def _legend(names: Sequence[str], top: int) -> Iterator[str]:
    for number, name in enumerate(names):
        left, y = LEFT + 300 * (number % 3), top + 18 * (number // 3)
        yield f'<text x="{left}" y="{y}">{number + 1} {escape(name)}</text>'
