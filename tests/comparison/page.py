"""The tables of `docs/comparison.md`, from the results of the worker."""

from collections.abc import Iterable, Sequence
from typing import Any

from tools.generate import ROOT

from .libraries import LIBRARIES, Library
from .servers import FAULTS

PAGE = ROOT / "docs" / "comparison.md"
Result = dict[str, Any]
END = "<!-- end -->"
NO_RESPONSE = {0: "no response", -1: "connection fails"}
FAULT_HEADER = (
    "library",
    "fails after",
    "then answers",
    "typically in",
    "at most in",
    "passes again after",
    "a client's write",
    "they agree",
)
FLOOD_HEADER = (
    "library",
    "answers",
    "slowest",
    "slowest `/hello`",
    "tasks",
    "threads",
    "sockets",
)
COSTS_HEADER = ("library", "lines to add", "lines copied", "import, CPU")
LIBRARIES_HEADER = ("library", "version", "in an application of", "server", "file")


def write_tables(page: str, document: dict[str, Any]) -> str:
    """Return the page with all its tables replaced. Raises ValueError if one has no place."""
    for name, lines in tables(document).items():
        start = f"<!-- {name} -->\n"
        if page.count(start) != 1:
            raise ValueError(f"{PAGE.name} must have one line <!-- {name} -->.")
        before, _, after = page.partition(start)
        _, end, after = after.partition(END)
        page = "\n".join([before + start, *lines, "", end + after])
    return page


def tables(document: dict[str, Any]) -> dict[str, list[str]]:
    """Return the lines of each table by its name."""
    results, conditions = document["results"], document["conditions"]
    versions = next(each["versions"] for each in results if each["kind"] == "versions")
    of_kind = {
        kind: {each["library"]: each for each in results if each["kind"] == kind}
        for kind in ("flood", "costs")
    }
    return {
        "conditions": [conditions_sentence(conditions, versions)],
        "libraries": table(LIBRARIES_HEADER, (library_row(each, versions) for each in LIBRARIES)),
        **{
            fault.name: table(
                FAULT_HEADER,
                (
                    fault_row(each, conditions["plan"])
                    for each in results
                    if each["kind"] == "fault" and each["fault"] == fault.name
                ),
            )
            for fault in FAULTS
        },
        "flood": table(FLOOD_HEADER, map(flood_row, of_kind["flood"].values())),
        "costs": table(COSTS_HEADER, map(costs_row, of_kind["costs"].values())),
    }


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def conditions_sentence(conditions: dict[str, Any], versions: dict[str, str]) -> str:
    """Return when and where this was measured."""
    named = {library.package for library in LIBRARIES} | {"Python"}
    others = ", ".join(f"{name} {each}" for name, each in versions.items() if name not in named)
    first, last = conditions["load_average"]
    return (
        f"Measured on {conditions['started']} in {conditions['minutes']:g} minutes, on "
        f"{conditions['machine']}.\nThe load average was {first:g} before and {last:g} after it: "
        f"a busy machine makes short times longer.\nWith {others}."
    )


def library_row(library: Library, versions: dict[str, str]) -> list[str]:
    """Return the version of a library, and its application."""
    server = "gunicorn" if library.framework == "Flask" else "uvicorn"
    file = f"[`{library.file.name}`](../{library.file.relative_to(ROOT)})"
    version = versions.get(library.package, "of this commit")
    return [library.name, version, library.framework, server, file]


def fault_row(result: Result, plan: dict[str, float]) -> list[str]:
    """Return what one probe said in one fault, and whether a client got the same."""
    detected, recovered = result["detected"], result["recovered"]
    is_written = 200 <= result["write"] < 300
    if detected is None:
        fails, passes_again = f"never in {plan['longest']:g} s", ""
    else:
        fails = duration(detected)
        passes_again = (
            f"not in {plan['recovery']:g} s" if recovered is None else duration(recovered)
        )
    return [
        result["library"],
        fails,
        codes(result["codes"]),
        duration(result["typical"]),
        duration(result["slowest"]),
        passes_again,
        "succeeds" if is_written else f"fails: {codes([result['write']])}",
        "yes" if is_written == (detected is None) else "**no**",
    ]


def flood_row(result: Result) -> list[str]:
    """Return what 200 probes did to one application."""
    answers = ", ".join(
        f"{number} x {NO_RESPONSE.get(int(code), f'`{code}`')}"
        for code, number in result["codes"].items()
    )
    route = result["slowest_route"]
    return [
        result["library"],
        answers,
        duration(result["slowest_probe"]),
        "no response" if route is None else duration(route),
        *(counts(result, kind) for kind in ("tasks", "threads", "sockets")),
    ]


def counts(result: Result, kind: str) -> str:
    """Return a count before the probes, the highest one, and the one after them."""
    values = [result[moment][kind] for moment in ("before", "highest", "after")]
    return " → ".join("?" if each is None else str(each) for each in values) if values[0] else ""


def costs_row(result: Result) -> list[str]:
    """Return what one library costs."""
    copied = f"{result['copied_lines']:,}" if result["copied_lines"] else "0"
    return [result["library"], str(result["lines"]), copied, duration(result["import_seconds"])]


def codes(seen: Sequence[int]) -> str:
    """Return the codes, the most frequent first."""
    return ", ".join(NO_RESPONSE.get(code, f"`{code}`") for code in seen)


def duration(seconds: float) -> str:
    """Return a duration in milliseconds, or in seconds from one second on."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def result_line(result: Result) -> str:
    """Return a result as one line of text."""
    about = [str(result[key]) for key in ("kind", "fault", "library") if key in result]
    values = ", ".join(f"{key} {value}" for key, value in result.items() if value not in about)
    return f"{': '.join(about)}: {values}"
