"""Tells people what was seen: a row a fault for a terminal, and one page for a browser."""

from html import escape
from itertools import groupby, pairwise
from pathlib import Path
from string import Template
from typing import Any

Result = dict[str, Any]

PAGE = Template(Path(__file__).with_name("page.html").read_text("utf-8"))
OK, WARN, SILENT = 200, 299, 0
WORDS = {WARN: "warn", SILENT: "silent", -1: "refused"}
NAIVE = ("healthz", "readyz")


def row(result: Result) -> str:
    """Return a fault in a line, and below it each way in which it fell short."""
    figures = (
        f"{_seconds(result['detected'])} ≤{result['within']:5.1f} s "
        f"{_seconds(result['recovered'])} ≤{result['back']:5.1f} s "
        f"{result['slowest'] * 1000:5.0f} ms"
    )
    mark = "FAIL" if result["shortfalls"] else "ok"
    line = f"{mark:5} {result['group']:10} {figures}   {result['ready']}  {result['name']}"
    return "\n".join([line, *(f"      {shortfall}" for shortfall in result["shortfalls"])])


def totals(results: list[Result], missing: int) -> str:
    """Return what it comes to, in a line."""
    short = sum(bool(result["shortfalls"]) for result in results)
    return f"{len(results) - short} passed, {short + missing} failed"


def page(results: list[Result], missing: int) -> str:
    """Return the whole table as one page that needs nothing else."""
    groups = [
        f"<h2>{escape(group)}</h2>{''.join(map(_article, of_group))}"
        for group, of_group in groupby(results, key=lambda result: result["group"])
    ]
    return PAGE.substitute(summary=_summary(results, missing), groups="\n".join(groups))


def wrong(result: Result, probe: str) -> str:
    """Say how a probe misled: "green" in a fault, "hung", "red" without one, or not at all.

    A fault is judged by the answer just before healing, so by when nobody can be late any more.
    """
    changes = [(at, code) for at, code in result["timelines"][probe] if at < result["healing"]]
    code = changes[-1][1]
    if result["ready"] == OK:
        lasting = {each for at, each in changes if at > 0}
        return "red" if lasting - {OK, WARN} and not result["shortfalls"] else ""
    if code in (OK, WARN):
        return "green"
    return "hung" if code == SILENT else ""


def _summary(results: list[Result], missing: int) -> str:
    compared = [result for result in results if result["group"] != "Service"]  # ours alone is hurt
    slowest = max((result["slowest"] for result in compared), default=0.0)
    faults = [result for result in compared if result["ready"] != OK]
    well = [result for result in compared if result["ready"] == OK]

    def count(probe: str, how: str, among: list[Result]) -> int:
        return sum(wrong(result, probe) == how for result in among)

    green, pings_green = count("healthz", "green", faults), count("readyz", "green", faults)
    hung, red = count("readyz", "hung", faults), count("readyz", "red", well)
    return (
        f"{totals(results, missing)}. Of {len(faults)} faults that take the service's work away, "
        f"the naive <code>/healthz</code> stayed green in {green}; "
        f"<code>/readyz</code> stayed green in {pings_green} and did not answer in {hung}. "
        f"Of {len(well)} that do not, <code>/readyz</code> was red in {red}. "
        f"The slowest answer of ours took {slowest * 1000:.0f} ms."
    )


def _article(result: Result) -> str:
    length = result["ended"] - min(at for line in result["timelines"].values() for at, _ in line)
    zero = length - result["ended"]

    def place(at: float) -> str:
        return f"{100 * max(0.0, zero + at) / length:.2f}%"

    def bar(changes: list[tuple[float, int]]) -> str:
        parts = [*changes, (result["ended"], 0)]
        spans = (
            f'<i class="c{code}" style="left:{place(at)};right:calc(100% - {place(end)})"'
            f' title="{WORDS.get(code, code)} from {at:.1f} s to {end:.1f} s">'
            f"{WORDS.get(code, code)}</i>"
            for (at, code), (end, _) in pairwise(parts)
        )
        marks = "".join(f'<u style="left:{place(at)}"></u>' for at in (0.0, result["healed"]))
        return f'<div class="bar">{"".join(spans)}{marks}</div>'

    lines = "".join(
        f"<span{naive}>{name}</span>{bar(changes)}"
        for name, changes in result["timelines"].items()
        for naive in [' class="naive"' if name in NAIVE else ""]
    )
    ticks = "".join(f'<b style="left:{place(at)}">{at} s</b>' for at in _ticks(result["ended"]))
    short = "".join(f'<p class="shortfall">{escape(each)}</p>' for each in result["shortfalls"])
    said = "<br>".join(escape(line) for line in result["said"])
    return (
        f"<article><div><h3>{'✗' if result['shortfalls'] else '✓'} {escape(result['name'])}</h3>"
        f'<p class="figures">{escape(_figures(result))}<br>{said}</p>{short}</div>'
        f'<div class="lines">{lines}<span></span><div class="axis">{ticks}</div></div></article>'
    )


def _figures(result: Result) -> str:
    parts = [f"slowest answer {result['slowest'] * 1000:.0f} ms"]
    if result["detected"] is not None:
        parts.insert(0, f"turned after {result['detected']:.1f} s of {result['within']:.1f} s")
    if result["recovered"] is not None and result["detected"] is not None:
        parts.insert(1, f"back after {result['recovered']:.1f} s of {result['back']:.1f} s")
    for what in ("tasks", "descriptors", "connections"):
        before, after = ((result[when] or {}).get(what) for when in ("before", "after"))
        parts.append(f"{what} {before} → {after}")
    return " · ".join(parts)


def _ticks(end: float) -> range:
    return range(0, int(end) + 1, 5 if end < 30 else 10)


def _seconds(value: float | None) -> str:
    return "    -" if value is None else f"{value:5.1f}"
