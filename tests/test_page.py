"""The page that shows the checks, in a real browser, on a service with real failures.

To take the README's pictures too: PAGE_PICTURES=docs .build/tools/bin/pytest tests/test_page.py
"""

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect, sync_playwright
from project import TEMPLATE

from tools.generate import ROOT, environment, set_up

pytestmark = pytest.mark.service

expect.set_options(timeout=30_000)

Change = Callable[[dict[str, Any]], object]

HOSTILE = "<img src=x onerror=document.body.remove()>"
LONG = "x" * 200


class PageServer:
    """The reference service and its servers, in a separate process: see `page_server.py`."""

    def __init__(self, folder: Path) -> None:
        set_up(TEMPLATE)
        self._process = subprocess.Popen(
            [ROOT / ".build/venv/bin/python", ROOT / "tests/page_server.py", folder],
            cwd=TEMPLATE,
            env=environment()
            | {"PYTHONPATH": str(TEMPLATE), "PYTHONPYCACHEPREFIX": str(ROOT / ".build/pycache")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = f"http://127.0.0.1:{self._read_line()}/health"

    def perform(self, action: str) -> None:
        """Change the service or one of its servers, and wait until that is done."""
        assert self._process.stdin
        self._process.stdin.write(f"{action}\n")
        self._process.stdin.flush()
        assert self._read_line() == "done"

    def stop(self) -> None:
        self._process.communicate(timeout=60)

    def _read_line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = "chromium is not installed: apt install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path) as browser,
    ):
        yield browser


@pytest.fixture(scope="module")
def page_server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """Run one service for all tests. Each test repairs what it has broken."""
    assert browser.is_connected()  # otherwise the test is skipped, and needs no service
    page_server = PageServer(tmp_path_factory.mktemp("page"))
    yield page_server
    page_server.stop()


class OpenPage:
    """A page in a browser, its requests and its errors."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def change_report(self, change: Change) -> None:
        """Change each report on its way from the service to the page."""

        def fulfill(route: Route) -> None:
            report = route.fetch().json()
            change(report)
            route.fulfill(json=report)

        def handle(route: Route) -> None:
            fulfill(route) if route.request.resource_type == "fetch" else route.continue_()

        self.page.route("**/health", handle)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    size: ViewportSize = {"width": 1000, "height": 700}
    with browser.new_context(viewport=size, device_scale_factor=1.75) as context:
        open_page = OpenPage(context.new_page())
        yield open_page
        assert open_page.errors == []


def test_page_follows_a_dependency_that_freezes_and_recovers(
    page_server: PageServer, open_page: OpenPage
) -> None:
    page = open_page.page
    page.goto(page_server.address)
    summary = page.locator("#summary")
    expect(summary).to_have_text(re.compile(r"Ready\s+All checks pass\."))
    expect(page).to_have_title("● Ready: reference-service")
    page.evaluate(
        """() => {
            window.announced = [];
            const node = document.getElementById("announcement");
            const record = () => window.announced.push(node.textContent);
            new MutationObserver(record).observe(node, {childList: true, characterData: true});
        }"""
    )
    pictures = os.environ.get("PAGE_PICTURES")
    page.wait_for_timeout(30_000 if pictures else 0)  # for a history in the pictures
    page_server.perform("freeze the database")
    try:
        expect(summary).to_have_text(re.compile(r"Not ready\s+Failing: postgres \(TimeoutError\)"))
        expect(page).to_have_title("✖ Not ready: reference-service")
        first = page.locator("#checks li").first
        expect(first.get_by_role("heading")).to_have_text("postgres")
        expect(first.locator(".state")).to_have_text(re.compile(r"fail for \d+ s"))
        expect(first.locator(".error")).to_have_text("TimeoutError")
        expect(first.locator(".note")).to_have_text(re.compile(r"\d+ consecutive failures"))
        sign = "node => getComputedStyle(node, '::before').content"
        assert first.locator(".sign").evaluate(sign) == '"✖"'
        expect(page.get_by_role("definition").filter(has_text="504 fail")).to_be_visible()
        expect(page.get_by_role("img", name="Latest attempts").first).to_be_visible()
        if pictures:
            take_pictures(page, Path(pictures))
    finally:
        page_server.perform("resume the database")
    expect(summary).to_have_text(re.compile(r"Ready\s+All checks pass\."))
    expect(page).to_have_title("● Ready: reference-service")
    announced: list[str] = page.evaluate("window.announced")
    assert all(earlier != later for earlier, later in itertools.pairwise(announced))
    assert {"Not ready", "Ready"} <= {each.split(".")[0] for each in announced}
    elsewhere = [
        url for url in open_page.requests if not url.startswith(("data:", page_server.address))
    ]
    assert elsewhere == []


def take_pictures(page: Page, folder: Path) -> None:
    schemes: dict[str, Literal["light", "dark"]] = {"page.png": "light", "page-dark.png": "dark"}
    page.wait_for_timeout(12_000)
    for name, scheme in schemes.items():
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=folder / name, full_page=True)


FAILING = {"status": "fail", "error": "TimeoutError", "consecutiveFailures": 3}
FLAPPING = {"error": "TimeoutError", "consecutiveFailures": 1}
WARNING = {"status": "warn", "error": None}
SLOW = {"duration": 0.4, "timeout": 0.5}


@pytest.mark.parametrize(
    ("report", "checks", "summary", "first"),
    [
        ({}, {"redis": SLOW}, "Ready, but slow Close to the timeout: redis.", "redis"),
        (
            {},
            {"redis": FLAPPING},
            "Ready, but unstable Latest attempt failed: redis (TimeoutError).",
            "redis",
        ),
        (
            {},
            {"redis": SLOW, "postgres.pool": WARNING},
            "Ready, with warnings Warning: postgres.pool. Close to the timeout: redis.",
            "postgres.pool",
        ),
        (
            {},
            {"postgres": WARNING, "redis": FAILING},
            "Not ready Failing: redis (TimeoutError).",
            "redis",
        ),
        (
            {"probes": {"startup": 503, "ready": 503, "live": 200}},
            {"redis": FAILING},
            "Starting Waiting for redis (TimeoutError).",
            "redis",
        ),
        (
            {"probes": {"startup": 503, "ready": 503, "live": 200}},
            {},
            "Starting Waiting for the application's own start-up work.",
            "postgres",
        ),
        (
            {"probes": {"startup": 200, "ready": 200, "live": 503}},
            {"redis": FAILING},
            "Not live The checks no longer run. Only a restart fixes that.",
            "redis",
        ),
        (
            {"draining": True},
            {"redis": FAILING},
            "Draining The service is shutting down.",
            "redis",
        ),
    ],
)
def test_summary_shows_the_most_important_problem(
    page_server: PageServer,
    open_page: OpenPage,
    report: dict[str, Any],
    checks: dict[str, dict[str, Any]],
    summary: str,
    first: str,
) -> None:
    def change(original: dict[str, Any]) -> None:
        original |= report
        for name, members in checks.items():
            original["checks"][name][0] |= members

    open_page.change_report(change)
    open_page.page.goto(page_server.address)
    expect(open_page.page.locator("#summary")).to_have_text(summary, use_inner_text=True)
    expect(open_page.page.get_by_role("heading", level=3).first).to_have_text(first)


def test_page_shows_the_outcome_of_traffic(page_server: PageServer, open_page: OpenPage) -> None:
    def fail_most_requests(report: dict[str, Any]) -> None:
        values = {"requests": 120, "failed": 70}
        report["checks"]["requests"][0] |= WARNING | {"observedValue": values}

    open_page.change_report(fail_most_requests)
    open_page.page.goto(page_server.address)
    outcome = open_page.page.get_by_role("definition").filter(has_text="▲ 70 of 120 failed")
    expect(outcome).to_be_visible()
    expect(open_page.page.locator("#checks li").first).to_contain_text(
        "a failure is only a warning: it shows that requests fail, and not why"
    )


def test_page_reports_that_the_service_is_down_and_recovers(
    page_server: PageServer, open_page: OpenPage
) -> None:
    page = open_page.page
    page.goto(page_server.address)
    summary = page.locator("#summary")
    expect(summary).to_contain_text("Ready")
    page_server.perform("stop the service")
    try:
        unreachable = page.locator("#unreachable")
        expect(unreachable).to_contain_text(re.compile(r"No response since \d\d:\d\d"))
        expect(page).to_have_title("✖ No response: reference-service")
        expect(page.locator("#checks li").first).to_be_visible()  # the last report
    finally:
        page_server.perform("start the service")
    expect(unreachable).to_be_hidden()
    expect(summary).to_contain_text("All checks pass.")


def test_page_can_be_paused_and_resumed_with_the_keyboard(
    page_server: PageServer, open_page: OpenPage
) -> None:
    page = open_page.page
    page.goto(page_server.address)
    expect(page.locator("#summary")).to_contain_text("Ready")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#updated")).to_contain_text("Paused at")
    requests = len(open_page.requests)
    page.wait_for_timeout(3_000)
    assert len(open_page.requests) == requests
    page.keyboard.press("Enter")
    for _ in range(2):
        with page.expect_response("**/health"):
            pass
    expect(page.locator("#updated")).to_contain_text("Updated at")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="/health/ready?verbose")).to_be_focused()


def test_hidden_page_sends_no_requests_until_it_is_visible(
    page_server: PageServer, open_page: OpenPage
) -> None:
    page = open_page.page
    page.goto(page_server.address)
    expect(page.locator("#summary")).to_contain_text("Ready")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, writable: true})")
    with page.expect_response("**/health"):  # the last one, already scheduled
        pass
    requests = len(open_page.requests)
    page.wait_for_timeout(3_000)
    assert len(open_page.requests) == requests
    with page.expect_response("**/health"):
        page.evaluate(
            "document.hidden = false, document.dispatchEvent(new Event('visibilitychange'))"
        )


def test_page_has_headings_terms_and_a_list_for_screen_readers(
    page_server: PageServer, open_page: OpenPage
) -> None:
    open_page.page.goto(page_server.address)
    expect(open_page.page.locator("body")).to_match_aria_snapshot(
        """
        - banner:
          - heading "reference-service" [level=1]
          - button "Pause"
        - main:
          - heading "Probes and load" [level=2]
          - term: startup
          - definition: ● 200 pass
          - term: ready
          - definition: ● 200 pass
          - term: live
          - definition: ● 200 pass
          - term: requests in the last 10 s
          - definition: /\\d+, none failed/
          - term: load score
          - definition: /0\\.\\d+ of 1/
          - term: check interval
          - definition: /\\d+ s/
          - term: draining
          - definition: "no"
          - heading "Checks, worst first" [level=2]
          - list:
            - listitem:
              - heading "postgres" [level=3]
              - paragraph: /pass for \\d+/
              - term: in_recovery
              - definition: "false"
              - figure:
                - img /Latest attempts. \\d+, of which \\d+ failed/
            - listitem:
              - heading "postgres.pool" [level=3]
              - paragraph:
                - meter "in use"
                - text: /\\d+ of 15 in use/
        - contentinfo:
          - link "/health/ready?verbose"
        """
    )


def make_worst_case(report: dict[str, Any]) -> None:
    """Make one check fail, one warn and one pool full, with hostile and long texts."""
    failed, warned, full, *_ = (each[0] for each in report["checks"].values())
    report["serviceId"] = HOSTILE
    report["version"] = LONG
    failed |= {"status": "fail", "error": HOSTILE, "output": LONG, "consecutiveFailures": 9}
    failed["observedValue"] = {HOSTILE: HOSTILE, LONG: {"nested": [HOSTILE]}, "in_use": 3}
    warned |= {"status": "warn", "impact": "warn", "output": HOSTILE, "stale": True}
    full |= {"observedValue": {"in_use": 15, "max": 15}, "duration": full["timeout"]}
    report["checks"][HOSTILE] = [failed]


def test_hostile_content_is_shown_as_text(page_server: PageServer, open_page: OpenPage) -> None:
    open_page.change_report(make_worst_case)
    open_page.page.goto(page_server.address)
    expect(open_page.page.locator("#summary")).to_contain_text(f"{HOSTILE} ({HOSTILE})")
    expect(open_page.page.locator("h1")).to_have_text(HOSTILE)
    expect(open_page.page.locator("h3", has_text=HOSTILE)).to_be_visible()
    expect(open_page.page.locator("dt", has_text=HOSTILE).first).to_be_visible()
    expect(
        open_page.page.locator("dd", has_text=f'{{"nested":["{HOSTILE}"]}}').first
    ).to_be_visible()
    assert open_page.page.locator("img").count() == 0


@pytest.mark.parametrize("width", [320, 360, 1600])
def test_page_needs_no_horizontal_scrolling(
    page_server: PageServer, open_page: OpenPage, width: int
) -> None:
    open_page.change_report(make_worst_case)
    open_page.page.set_viewport_size({"width": width, "height": 700})
    open_page.page.goto(page_server.address)
    expect(open_page.page.locator("#summary")).to_contain_text("Not ready")
    assert open_page.page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(
    page_server: PageServer, open_page: OpenPage, scheme: Literal["light", "dark"]
) -> None:
    open_page.change_report(make_worst_case)
    open_page.page.emulate_media(color_scheme=scheme)
    open_page.page.goto(page_server.address)
    expect(open_page.page.locator("#summary")).to_contain_text("Not ready")
    seen = texts(open_page.page)
    open_page.page.unroute("**/health")
    open_page.page.route("**/health", lambda route: route.abort())
    expect(open_page.page.locator("#unreachable")).to_be_visible()
    seen |= texts(open_page.page)
    assert {"fail", "warn", "pass"} <= {text for text, _, _ in seen}
    too_weak = {each for each in seen if contrast(each[1], each[2]) < 4.5}  # WCAG 2.2, 1.4.3
    assert too_weak == set()


def texts(page: Page) -> set[tuple[str, str, str]]:
    """Return each visible text with its color and its background color."""
    found = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter((node) => node.checkVisibility())
            .filter((node) => [...node.childNodes].some((child) => child.nodeName === "#text"))
            .filter((node) => node.textContent.trim())
            .map((node) => {
                let behind = node;
                const color = () => getComputedStyle(behind).backgroundColor;
                while (color() === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
                return [node.textContent.trim(), getComputedStyle(node).color, color()];
            })"""
    )
    return {(text, color, background) for text, color, background in found}


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colors (WCAG 2.2, "contrast ratio")."""
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(value) / 255) for value in re.findall(r"\d+", color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
