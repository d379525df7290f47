"""Format the results: one row per fault for a terminal, and one page for a browser."""

from html import escape
from itertools import groupby, pairwise
from pathlib import Path
from string import Template
from typing import Any

Result = dict[str, Any]

PAGE = Template(Path(__file__).with_name("page.html").read_text("utf-8"))
WARN, RED, NO_RESPONSE = 299, 599, 0
LABELS: dict[object, str] = {WARN: "warn", RED: "red", NO_RESPONSE: "no response", -1: "refused"}
STYLES = {"clients": "clients", "healthz": "baseline", "readyz": "baseline"}
FAILING = ("reads only", "down")
WITHOUT_BASELINE = ("Service", "Overload")
"""Groups that break the generated service alone."""


def table_row(result: Result) -> str:
    """Return one row for a fault, and one line per error below it."""
    times = (
        f"{_seconds(result['detected_after'])} ≤{result['detect_within']:5.1f} s "
        f"{_seconds(result['recovered_after'])} ≤{result['recover_within']:5.1f} s "
        f"{result['slowest_response'] * 1000:5.0f} ms"
    )
    mark = "FAIL" if result["errors"] else "ok"
    state = result["client_state"] or "-"
    code = LABELS.get(result["ready_code"], result["ready_code"])
    row = f"{mark:5} {result['group']:18} {times}   {state:10} {code:4}  {result['name']}"
    return "\n".join([row, *(f"      {error}" for error in result["errors"])])


def summary_line(results: list[Result], missing: int) -> str:
    """Return the number of passed and failed faults, and how often the probe was right."""
    failed = sum(bool(result["errors"]) for result in results)
    compared = [result for result in results if result["client_state"]]
    right = sum(not result["wrong"]["ready"] for result in compared)
    return (
        f"{len(results) - failed} passed, {failed + missing} failed; {right} of {len(compared)}: "
        "the probe said what the clients got"
    )


def html_page(results: list[Result], missing: int) -> str:
    """Return the whole table as one page that needs no other file."""
    groups = [
        f"<h2>{escape(group)}</h2>{''.join(map(_article, group_results))}"
        for group, group_results in groupby(results, key=lambda result: result["group"])
    ]
    return PAGE.substitute(summary=_summary(results, missing), groups="\n".join(groups))


def _summary(results: list[Result], missing: int) -> str:
    compared = [r for r in results if r["group"] not in WITHOUT_BASELINE and r["client_state"]]
    failures = [result for result in compared if result["client_state"] in FAILING]
    harmless = [result for result in compared if result["client_state"] not in FAILING]
    slowest = max((result["slowest_response"] for result in compared), default=0.0)
    exempt = sum(bool(result["exemption"]) for result in results)

    def wrong(probe: str, kind: str, among: list[Result]) -> int:
        return sum(kind in result["wrong"][probe] for result in among)

    def right(probe: str) -> int:
        return sum(not result["wrong"][probe] for result in compared)

    return (
        f"{summary_line(results, missing)}. {exempt} of these have an exemption, with its reason. "
        f"On the same servers, the baseline's <code>/healthz</code> said it in {right('healthz')} "
        f"of {len(compared)}, and its <code>/readyz</code> in {right('readyz')}. While the "
        f"clients' core requests failed ({len(failures)} faults), <code>/healthz</code> was green "
        f"in {wrong('healthz', 'green', failures)}, <code>/readyz</code> was green in "
        f"{wrong('readyz', 'green', failures)} and did not respond in "
        f"{wrong('readyz', 'no response', failures)}. While they succeeded ({len(harmless)} "
        f"faults), <code>/readyz</code> was red in {wrong('readyz', 'red', harmless)}. "
        f"The slowest probe response of the generated service took {slowest * 1000:.0f} ms."
    )


def _article(result: Result) -> str:
    timelines = dict(result["timelines"])
    if result["client_timeline"]:
        timelines = {"clients": result["client_timeline"], **timelines}
    length = result["ended"] - min(at for line in timelines.values() for at, _ in line)
    zero = length - result["ended"]

    def position(at: float) -> str:
        return f"{100 * max(0.0, zero + at) / length:.2f}%"

    def bar(changes: list[tuple[float, int | str]]) -> str:
        parts = [*changes, (result["ended"], 0)]
        spans = (
            f'<i class="c{str(code).replace(" ", "-")}"'
            f' style="left:{position(at)};right:calc(100% - {position(end)})"'
            f' title="{label} from {at:.1f} s to {end:.1f} s">{label}</i>'
            for (at, code), (end, _) in pairwise(parts)
            for label in [LABELS.get(code, str(code))]
        )
        marks = "".join(f'<u style="left:{position(at)}"></u>' for at in (0.0, result["repaired"]))
        return f'<div class="bar">{"".join(spans)}{marks}</div>'

    lines = "".join(
        f"<span{style}>{name}</span>{bar(changes)}"
        for name, changes in timelines.items()
        for style in [f' class="{STYLES[name]}"' if name in STYLES else ""]
    )
    ticks = "".join(f'<b style="left:{position(at)}">{at} s</b>' for at in _ticks(result["ended"]))
    errors = "".join(f'<p class="error">{escape(each)}</p>' for each in result["errors"])
    changes = [f"{at:.1f} s {text}" for at, text in result["check_changes"]]
    report = "<br>".join(map(escape, [*_requests(result), *result["verbose_report"], *changes]))
    return (
        f"<article><div><h3>{'✗' if result['errors'] else '✓'} {escape(result['name'])}</h3>"
        f'<p class="measured">{escape(_measured(result))}<br>{report}</p>{errors}</div>'
        f'<div class="lines">{lines}<span></span><div class="axis">{ticks}</div></div></article>'
    )


def _requests(result: Result) -> list[str]:
    """Return what the clients got, and the reason of an exemption."""
    sent = [
        f"{name} {counts['sent'] - counts['failed']}/{counts['sent']}"
        for name, counts in result["requests"].items()
    ]
    counted = [f"clients: {result['client_state']}; successful: {', '.join(sent)}"] if sent else []
    exemption = [f"exempt: {result['exemption']}"] if result["exemption"] else []
    return counted + exemption


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
