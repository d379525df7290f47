"""The page that shows the checks, in a real browser, while what it shows is really broken.

PAGE_PICTURES=docs .build/tools/bin/pytest tests/test_page.py    also takes the README's pictures
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

Alter = Callable[[dict[str, Any]], object]

HOSTILE = "<img src=x onerror=document.body.remove()>"
LONG = "x" * 200


class Stage:
    """The reference service on its servers, in a process of its own: see `page_server.py`."""

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
        self.address = f"http://127.0.0.1:{self._answer()}/health"

    def do(self, deed: str) -> None:
        """Have something happen to the service or its servers, and wait until it has."""
        assert self._process.stdin
        self._process.stdin.write(f"{deed}\n")
        self._process.stdin.flush()
        assert self._answer() == "done"

    def end(self) -> None:
        self._process.communicate(timeout=60)

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = "chromium is not installed: apt install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path) as it:
        yield it


@pytest.fixture(scope="module")
def stage(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run one service for all of the tests, each of which heals what it breaks."""
    assert browser.is_connected()  # without a browser there is nothing to start it for
    stage = Stage(tmp_path_factory.mktemp("stage"))
    yield stage
    stage.end()


class Opened:
    """A page in a window, and what it asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def alter(self, alter: Alter) -> None:
        """Change what the service tells on its way to the page."""

        def pass_on(route: Route) -> None:
            told = route.fetch().json()
            alter(told)
            route.fulfill(json=told)

        def choose(route: Route) -> None:
            pass_on(route) if route.request.resource_type == "fetch" else route.continue_()

        self.page.route("**/health", choose)


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    size: ViewportSize = {"width": 1000, "height": 700}
    with browser.new_context(viewport=size, device_scale_factor=1.75) as context:
        opened = Opened(context.new_page())
        yield opened
        assert opened.errors == []


def test_the_page_turns_with_a_frozen_dependency_and_turns_back(
    stage: Stage, opened: Opened
) -> None:
    page = opened.page
    page.goto(stage.address)
    verdict = page.locator("#verdict")
    expect(verdict).to_have_text(re.compile(r"Ready\s+Every check passes\."))
    expect(page).to_have_title("● Ready: reference-service")
    page.evaluate(
        """() => {
            window.news = [];
            const news = document.getElementById("news");
            const note = () => window.news.push(news.textContent);
            new MutationObserver(note).observe(news, {childList: true, characterData: true});
        }"""
    )
    pictures = os.environ.get("PAGE_PICTURES")
    page.wait_for_timeout(30_000 if pictures else 0)  # they show a history
    stage.do("freeze the database")
    try:
        expect(verdict).to_have_text(re.compile(r"Not ready\s+Failing: postgres \(TimeoutError\)"))
        expect(page).to_have_title("✖ Not ready: reference-service")
        first = page.locator("#checks li").first
        expect(first.get_by_role("heading")).to_have_text("postgres")
        expect(first.locator(".state")).to_have_text(re.compile(r"fail for \d+ s"))
        expect(first.locator(".error")).to_have_text("TimeoutError")
        expect(first.locator(".note")).to_have_text(re.compile(r"\d+ failures in a row"))
        sign = "node => getComputedStyle(node, '::before').content"
        assert first.locator(".sign").evaluate(sign) == '"✖"'
        expect(page.get_by_role("definition").filter(has_text="504 fail")).to_be_visible()
        expect(page.get_by_role("img", name="Latest attempts").first).to_be_visible()
        if pictures:
            take_pictures(page, Path(pictures))
    finally:
        stage.do("heal the database")
    expect(verdict).to_have_text(re.compile(r"Ready\s+Every check passes\."))
    expect(page).to_have_title("● Ready: reference-service")
    news: list[str] = page.evaluate("window.news")
    assert all(earlier != later for earlier, later in itertools.pairwise(news))
    assert {"Not ready", "Ready"} <= {each.split(".")[0] for each in news}
    elsewhere = [url for url in opened.requests if not url.startswith(("data:", stage.address))]
    assert elsewhere == []


def take_pictures(page: Page, folder: Path) -> None:
    schemes: dict[str, Literal["light", "dark"]] = {"page.png": "light", "page-dark.png": "dark"}
    page.wait_for_timeout(12_000)
    for name, scheme in schemes.items():
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=folder / name, full_page=True)


FAILING = {"status": "fail", "error": "TimeoutError", "consecutiveFailures": 3}
SHAKEN = {"error": "TimeoutError", "consecutiveFailures": 1}
WARNING = {"status": "warn", "error": None}
SLOW = {"duration": 0.4, "timeout": 0.5}


@pytest.mark.parametrize(
    ("told", "checks", "said", "first"),
    [
        ({}, {"redis": SLOW}, "Ready, but slow Close to its timeout: redis.", "redis"),
        ({}, {"redis": SHAKEN}, "Ready, for now Failed just now: redis (TimeoutError).", "redis"),
        (
            {},
            {"redis": SLOW, "postgres.pool": WARNING},
            "Ready, with a warning Look at postgres.pool. Close to its timeout: redis.",
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
            "Starting It waits for redis (TimeoutError).",
            "redis",
        ),
        (
            {"probes": {"startup": 503, "ready": 503, "live": 200}},
            {},
            "Starting It waits for work of its own.",
            "postgres",
        ),
        (
            {"probes": {"startup": 200, "ready": 200, "live": 503}},
            {"redis": FAILING},
            "Not live Its checks have stopped: only a restart mends that.",
            "redis",
        ),
        (
            {"draining": True},
            {"redis": FAILING},
            "Draining It takes no new requests and is about to end.",
            "redis",
        ),
    ],
)
def test_what_matters_most_is_said_first(
    stage: Stage,
    opened: Opened,
    told: dict[str, Any],
    checks: dict[str, dict[str, Any]],
    said: str,
    first: str,
) -> None:
    def alter(answer: dict[str, Any]) -> None:
        answer |= told
        for name, known in checks.items():
            answer["checks"][name][0] |= known

    opened.alter(alter)
    opened.page.goto(stage.address)
    expect(opened.page.locator("#verdict")).to_have_text(said, use_inner_text=True)
    expect(opened.page.get_by_role("heading", level=3).first).to_have_text(first)


def test_the_page_says_that_the_service_is_gone_and_comes_back_by_itself(
    stage: Stage, opened: Opened
) -> None:
    page = opened.page
    page.goto(stage.address)
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("Ready")
    stage.do("stop the service")
    try:
        silence = page.locator("#silence")
        expect(silence).to_contain_text(re.compile(r"No answer from the service since \d\d:\d\d"))
        expect(page).to_have_title("✖ No answer: reference-service")
        expect(page.locator("#checks li").first).to_be_visible()  # what it said last
    finally:
        stage.do("serve again")
    expect(silence).to_be_hidden()
    expect(verdict).to_contain_text("Every check passes.")


def test_the_page_is_paused_and_resumed_by_the_keyboard(stage: Stage, opened: Opened) -> None:
    page = opened.page
    page.goto(stage.address)
    expect(page.locator("#verdict")).to_contain_text("Ready")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#refreshed")).to_contain_text("Paused at")
    asked = len(opened.requests)
    page.wait_for_timeout(3_000)
    assert len(opened.requests) == asked
    page.keyboard.press("Enter")
    for _ in range(2):
        with page.expect_response("**/health"):
            pass
    expect(page.locator("#refreshed")).to_contain_text("As of")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="/health/ready?verbose")).to_be_focused()


def test_a_hidden_page_asks_nothing_until_it_is_seen_again(stage: Stage, opened: Opened) -> None:
    page = opened.page
    page.goto(stage.address)
    expect(page.locator("#verdict")).to_contain_text("Ready")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, writable: true})")
    with page.expect_response("**/health"):  # the last one, which was due already
        pass
    asked = len(opened.requests)
    page.wait_for_timeout(3_000)
    assert len(opened.requests) == asked
    with page.expect_response("**/health"):
        page.evaluate(
            "document.hidden = false, document.dispatchEvent(new Event('visibilitychange'))"
        )


def test_a_screen_reader_finds_headings_terms_and_a_list(stage: Stage, opened: Opened) -> None:
    opened.page.goto(stage.address)
    expect(opened.page.locator("body")).to_match_aria_snapshot(
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
          - term: load score
          - definition: /0\\.\\d+ of 1/
          - term: asked every
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


def tell_the_worst(told: dict[str, Any]) -> None:
    """Have one check fail, one warn, one lend all it has, and all that is text be hostile."""
    failed, warned, full, *_ = (each[0] for each in told["checks"].values())
    told["serviceId"] = HOSTILE
    told["version"] = LONG
    failed |= {"status": "fail", "error": HOSTILE, "output": LONG, "consecutiveFailures": 9}
    failed["observedValue"] = {HOSTILE: HOSTILE, LONG: {"nested": [HOSTILE]}, "in_use": 3}
    warned |= {"status": "warn", "impact": "warn", "output": HOSTILE, "stale": True}
    full |= {"observedValue": {"in_use": 15, "max": 15}, "duration": full["timeout"]}
    told["checks"][HOSTILE] = [failed]


def test_what_is_hostile_is_shown_as_text(stage: Stage, opened: Opened) -> None:
    opened.alter(tell_the_worst)
    opened.page.goto(stage.address)
    expect(opened.page.locator("#verdict")).to_contain_text(f"{HOSTILE} ({HOSTILE})")
    expect(opened.page.locator("h1")).to_have_text(HOSTILE)
    expect(opened.page.locator("h3", has_text=HOSTILE)).to_be_visible()
    expect(opened.page.locator("dt", has_text=HOSTILE).first).to_be_visible()
    expect(opened.page.locator("dd", has_text=f'{{"nested":["{HOSTILE}"]}}').first).to_be_visible()
    assert opened.page.locator("img").count() == 0


@pytest.mark.parametrize("width", [320, 360, 1600])
def test_nothing_has_to_be_scrolled_sideways(stage: Stage, opened: Opened, width: int) -> None:
    opened.alter(tell_the_worst)
    opened.page.set_viewport_size({"width": width, "height": 700})
    opened.page.goto(stage.address)
    expect(opened.page.locator("#verdict")).to_contain_text("Not ready")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(
    stage: Stage, opened: Opened, scheme: Literal["light", "dark"]
) -> None:
    opened.alter(tell_the_worst)
    opened.page.emulate_media(color_scheme=scheme)
    opened.page.goto(stage.address)
    expect(opened.page.locator("#verdict")).to_contain_text("Not ready")
    well = texts(opened.page)
    opened.page.unroute("**/health")
    opened.page.route("**/health", lambda route: route.abort())
    expect(opened.page.locator("#silence")).to_be_visible()
    seen = well | texts(opened.page)
    assert {"fail", "warn", "pass"} <= {text for text, _, _ in seen}
    too_weak = {each for each in seen if contrast(each[1], each[2]) < 4.5}  # WCAG 2.2, 1.4.3
    assert too_weak == set()


def texts(page: Page) -> set[tuple[str, str, str]]:
    """Return each text that is shown, with its colour and the colour behind it."""
    found = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter((node) => node.checkVisibility())
            .filter((node) => [...node.childNodes].some((it) => it.nodeName === "#text"))
            .filter((node) => node.textContent.trim())
            .map((node) => {
                let behind = node;
                const colour = () => getComputedStyle(behind).backgroundColor;
                while (colour() === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
                return [node.textContent.trim(), getComputedStyle(node).color, colour()];
            })"""
    )
    return {(text, colour, behind) for text, colour, behind in found}


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2, "contrast ratio")."""
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(value) / 255) for value in re.findall(r"\d+", colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
