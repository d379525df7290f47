"""Format the results: one row per fault for a terminal, and one page for a browser."""

from html import escape
from itertools import groupby, pairwise
from pathlib import Path
from string import Template
from typing import Any

Result = dict[str, Any]

PAGE = Template(Path(__file__).with_name("page.html").read_text("utf-8"))
OK, WARN, NO_RESPONSE = 200, 299, 0
LABELS = {WARN: "warn", NO_RESPONSE: "no response", -1: "refused"}
BASELINE = ("healthz", "readyz")


def table_row(result: Result) -> str:
    """Return one row for a fault, and one line per error below it."""
    times = (
        f"{_seconds(result['detected_after'])} ≤{result['detect_within']:5.1f} s "
        f"{_seconds(result['recovered_after'])} ≤{result['recover_within']:5.1f} s "
        f"{result['slowest_response'] * 1000:5.0f} ms"
    )
    mark = "FAIL" if result["errors"] else "ok"
    row = f"{mark:5} {result['group']:18} {times}   {result['ready_code']}  {result['name']}"
    return "\n".join([row, *(f"      {error}" for error in result["errors"])])


def summary_line(results: list[Result], missing: int) -> str:
    """Return the number of passed and failed faults."""
    failed = sum(bool(result["errors"]) for result in results)
    return f"{len(results) - failed} passed, {failed + missing} failed"


def html_page(results: list[Result], missing: int) -> str:
    """Return the whole table as one page that needs no other file."""
    groups = [
        f"<h2>{escape(group)}</h2>{''.join(map(_article, group_results))}"
        for group, group_results in groupby(results, key=lambda result: result["group"])
    ]
    return PAGE.substitute(summary=_summary(results, missing), groups="\n".join(groups))


def wrong_response(result: Result, probe: str) -> str:
    """Return how a probe was wrong: "green" or "no response" during a fault, "red" without one.

    The response just before the repair decides: by then, every probe has had time to change.
    """
    before_repair = [
        (at, code) for at, code in result["timelines"][probe] if at < result["repair_started"]
    ]
    code = before_repair[-1][1]
    if result["ready_code"] == OK:
        during_fault = {each for at, each in before_repair if at > 0}
        return "red" if during_fault - {OK, WARN} and not result["errors"] else ""
    if code in (OK, WARN):
        return "green"
    return "no response" if code == NO_RESPONSE else ""


def _summary(results: list[Result], missing: int) -> str:
    # The group "Service" breaks the generated service alone, and not the baseline.
    compared = [result for result in results if result["group"] != "Service"]
    slowest = max((result["slowest_response"] for result in compared), default=0.0)
    failures = [result for result in compared if result["ready_code"] != OK]
    harmless = [result for result in compared if result["ready_code"] == OK]

    def count(probe: str, kind: str, among: list[Result]) -> int:
        return sum(wrong_response(result, probe) == kind for result in among)

    healthz_green = count("healthz", "green", failures)
    readyz_green = count("readyz", "green", failures)
    readyz_silent = count("readyz", "no response", failures)
    readyz_red = count("readyz", "red", harmless)
    return (
        f"{summary_line(results, missing)}. Faults that stop the service's work: {len(failures)}. "
        f"During these, the baseline's <code>/healthz</code> stayed green in {healthz_green}. "
        f"Its <code>/readyz</code> stayed green in {readyz_green} and did not respond in "
        f"{readyz_silent}. Faults that do not stop it: {len(harmless)}. During these, the "
        f"baseline's <code>/readyz</code> was red in {readyz_red}. "
        f"The slowest probe response of the generated service took {slowest * 1000:.0f} ms."
    )


def _article(result: Result) -> str:
    length = result["ended"] - min(at for line in result["timelines"].values() for at, _ in line)
    zero = length - result["ended"]

    def position(at: float) -> str:
        return f"{100 * max(0.0, zero + at) / length:.2f}%"

    def bar(changes: list[tuple[float, int]]) -> str:
        parts = [*changes, (result["ended"], 0)]
        spans = (
            f'<i class="c{code}" style="left:{position(at)};right:calc(100% - {position(end)})"'
            f' title="{LABELS.get(code, code)} from {at:.1f} s to {end:.1f} s">'
            f"{LABELS.get(code, code)}</i>"
            for (at, code), (end, _) in pairwise(parts)
        )
        marks = "".join(f'<u style="left:{position(at)}"></u>' for at in (0.0, result["repaired"]))
        return f'<div class="bar">{"".join(spans)}{marks}</div>'

    lines = "".join(
        f"<span{style}>{name}</span>{bar(changes)}"
        for name, changes in result["timelines"].items()
        for style in [' class="baseline"' if name in BASELINE else ""]
    )
    ticks = "".join(f'<b style="left:{position(at)}">{at} s</b>' for at in _ticks(result["ended"]))
    errors = "".join(f'<p class="error">{escape(each)}</p>' for each in result["errors"])
    report = "<br>".join(escape(line) for line in result["verbose_report"])
    return (
        f"<article><div><h3>{'✗' if result['errors'] else '✓'} {escape(result['name'])}</h3>"
        f'<p class="measured">{escape(_measured(result))}<br>{report}</p>{errors}</div>'
        f'<div class="lines">{lines}<span></span><div class="axis">{ticks}</div></div></article>'
    )


def _measured(result: Result) -> str:
    detected, recovered = result["detected_after"], result["recovered_after"]
    parts = []
    if detected is not None:
        parts.append(f"detected after {detected:.1f} s (limit {result['detect_within']:.1f} s)")
    if recovered is not None and detected is not None:
        parts.append(f"recovered after {recovered:.1f} s (limit {result['recover_within']:.1f} s)")
    parts.append(f"slowest response {result['slowest_response'] * 1000:.0f} ms")
    for kind in ("tasks", "descriptors", "connections"):
        before, after = (
            (result[f"resources_{when}"] or {}).get(kind) for when in ("before", "after")
        )
        parts.append(f"{kind} {before} → {after}")
    return " · ".join(parts)


def _ticks(end: float) -> range:
    return range(0, int(end) + 1, 5 if end < 30 else 10)


def _seconds(value: float | None) -> str:
    return "    -" if value is None else f"{value:5.1f}"
