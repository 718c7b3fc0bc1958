"""A browser for the page: the system's Chromium, driven by playwright, and axe-core to check accessibility.

If one of them is missing, tests are skipped with the reason. CI sets ``PATHLEN_BROWSER=required``, which makes that an
error. ``PATHLEN_CHROMIUM`` names a browser that is not on the path, ``PATHLEN_AXE`` the file ``axe.min.js``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from project import PROJECT, SAMPLES

from pathlen._util.files import write_text
from pathlen.records.files import read
from pathlen.records.schema import Run
from pathlen.report import page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

SAMPLE = SAMPLES / "mini.json"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing(what: str) -> NoReturn:
    """Skip the test, or fail if a browser is required."""
    if os.environ.get("PATHLEN_BROWSER") == "required":
        pytest.fail(f"PATHLEN_BROWSER is required, but {what}")
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium once per session."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed; pip install pathlen[browser]")
    path = os.environ.get("PATHLEN_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing(f"there is no browser called {', '.join(NAMES)}; install chromium, or name one in PATHLEN_CHROMIUM")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    named = os.environ.get("PATHLEN_AXE")
    path = Path(named) if named else PROJECT / "node_modules" / "axe-core" / "axe.min.js"
    if not path.is_file():
        missing(f"there is no axe-core at {path}; npm install axe-core, or name axe.min.js in PATHLEN_AXE")
    return path.read_text("utf-8")


@pytest.fixture(scope="session")
def sample() -> Run:
    """The record of the committed sample report."""
    return read(SAMPLE)


@pytest.fixture(scope="session")
def sample_page(sample: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the committed sample report."""
    path = tmp_path_factory.mktemp("page") / "mini.html"
    write_text(path, page(sample))
    return path


@pytest.fixture(scope="session")
def hostile_page(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small record whose tokens are scripts, partial characters and bidirectional overrides."""
    path = tmp_path_factory.mktemp("page") / "hostile.html"
    write_text(path, page(run))
    return path


class Visit:
    """A page in its own browser context, with its requests and the errors it logged."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        settings = {"viewport": {"width": 1280, "height": 900}, **options}
        self.context: BrowserContext = browser.new_context(**settings)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(path.as_uri())
        if settings.get("java_script_enabled", True) and self.page.locator("#explorer").count():
            self.page.locator("#explorer.ready").wait_for()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Any]:
    """Open pages; options are those of a browser context."""
    opened: list[Visit] = []

    def open_(path: Path, **options: Any) -> Visit:
        opened.append(Visit(browser, path, **options))
        return opened[-1]

    yield open_
    for visited in opened:
        visited.context.close()
