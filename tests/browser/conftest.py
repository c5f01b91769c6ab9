"""Chromium, the whole stack, and the frontend's pages beside it; skipped where there is no Chromium."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stack.demo import temporary_stack
from stack.ports import LOOPBACK, is_free
from stack.settings import StackSettings
from tests.browser.running import API_HOST, ARTIFACTS, Running
from tests.browser.sites import Site
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

FRONTEND_PORT = 3000  # the existing frontend's
WAIT_SECONDS = 25
PATIENCE_MS = 40_000  # longer than the API holds an upload
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-domain-reliability",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    patience = pytest.mark.timeout(240)  # the first test starts the stack, on whatever else the machine does
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
            item.add_marker(patience)


@pytest.fixture(scope="package")
def browser() -> "Iterator[Browser]":
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: make setup")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        # All pages are ours; the sandbox serves neither root nor most containers.
        started = playwright.chromium.launch(executable_path=chromium, args=QUIET, chromium_sandbox=False)
        yield started
        started.close()


@pytest.fixture(scope="package")
def running(browser: "Browser", request: pytest.FixtureRequest) -> Iterator[Running]:  # noqa: ARG001 - a missing browser skips first
    """The whole stack, waiting in each upload as the existing frontend needs it."""
    shutil.rmtree(ARTIFACTS, ignore_errors=True)
    ARTIFACTS.mkdir(parents=True)
    with Site(FRONTEND_PORT if is_free(FRONTEND_PORT) else 0) as site:
        inherited = StackSettings.from_environment().environment
        wanted = {
            "CORS_ORIGINS": site.origin,
            "UPLOAD_WAIT_SECONDS": str(WAIT_SECONDS),
            "LEASE_SECONDS": "5",  # after which the work of a worker that a test kills is done by another
        }
        settings = StackSettings(None, None, None, {**inherited, **wanted})
        with temporary_stack(settings, ARTIFACTS, lambda _: None) as stack:
            access = stack.up()
            api = access.url.replace(LOOPBACK, API_HOST)
            site.api_url = f"{api}/api"
            yield Running(api, site.origin, access, stack)
            if request.session.testsfailed:
                shutil.copytree(stack.state.logs, ARTIFACTS / "logs", dirs_exist_ok=True)


@pytest.fixture
def context(browser: "Browser", running: Running) -> "Iterator[BrowserContext]":
    """A browser profile of its own, whose relative addresses are the frontend's."""
    with browser.new_context(base_url=running.frontend, viewport={"width": 1280, "height": 900}) as made:
        made.set_default_timeout(PATIENCE_MS)
        yield made


@pytest.fixture
def watch(context: "BrowserContext") -> Iterator[Watch]:
    """Fails the test at its end for everything that the browser complained about."""
    watching = Watch(context)
    yield watching
    assert watching.complaints == []


@pytest.fixture
def page(context: "BrowserContext", watch: Watch, request: pytest.FixtureRequest) -> "Iterator[Page]":  # noqa: ARG001 - watches it
    """A page whose last look is kept as a picture."""
    opened = context.new_page()
    yield opened
    opened.screenshot(path=ARTIFACTS / f"{request.node.name}.png", full_page=True)
