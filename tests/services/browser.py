"""Chromium without a screen, driven through Playwright; the machine's own, else Debian's package.

Each page listens for what must not happen: violations of the Content-Security-Policy, errors on the console,
answers of 500, and requests to anywhere but the site.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from tests.services import programs

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
# Reports to the test what the policy forbade, on this and every later document of the page.
_WATCH = """
document.addEventListener("securitypolicyviolation", (event) => window.reportViolation(
  `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


@dataclass
class Tab:
    """A page with a profile of its own. faults: what must not have happened, in words."""

    context: BrowserContext
    page: Page
    origin: str
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to a path of the site and wait until it is loaded."""
        answer = self.page.goto(f"{self.origin}{path}")
        assert answer is not None, path
        assert answer.status == 200, f"{path}: {answer.status}"

    def check(self) -> None:
        """Raise AssertionError if anything happened that must not."""
        assert not self.faults, self.faults


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that ends with the block. Raises ServiceError where none can be had."""
    program = programs.chromium()
    with sync_playwright() as playwright:
        browser = _launch(playwright, program)
        try:
            yield browser
        finally:
            browser.close()


def _launch(playwright: Playwright, program: programs.Programs) -> Browser:
    return playwright.chromium.launch(
        executable_path=program.folder / "chromium",
        args=list(_ARGUMENTS),
        env={**program.environment()},
        headless=True,
    )


@contextlib.contextmanager
def tab(
    browser: Browser, origin: str, *, viewport: dict[str, int] = DESKTOP, **options: Any
) -> Iterator[Tab]:
    """A page of the site at `origin`, in a fresh profile. options: of Playwright's new_context."""
    context = browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        made = Tab(context, page, origin)
        page.expose_function("reportViolation", lambda words: made.faults.append(f"CSP: {words}"))
        page.add_init_script(_WATCH)
        page.on("console", lambda message: _console(made, message.type, message.text))
        page.on("pageerror", lambda error: made.faults.append(f"script: {error}"))
        page.on("response", lambda response: _answer(made, response.url, response.status))
        page.on("request", lambda request: _asked(made, request.url))
        yield made
    finally:
        context.close()


def _console(made: Tab, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        made.faults.append(f"console: {text}")


def _answer(made: Tab, url: str, status: int) -> None:
    if status >= 500:
        made.faults.append(f"{status}: {url}")


def _asked(made: Tab, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("data", "blob", "about") and f"{parts.scheme}://{parts.netloc}" != made.origin:
        made.faults.append(f"asked elsewhere: {url}")
