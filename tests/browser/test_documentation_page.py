"""The page at /api/docs, whose script and styles come from the API alone."""

from typing import TYPE_CHECKING

import httpx

from tests.browser.running import Running
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

METHODS = ("get", "post", "put", "delete")


def test_the_documentation_shows_every_operation_and_asks_no_other_host(
    page: "Page", watch: Watch, running: Running
) -> None:
    page.goto(f"{running.api}/api/docs")
    page.locator(".nav-bar-path").first.wait_for()  # inside the component's shadow tree
    paths = httpx.get(f"{running.access.url}/api/openapi.json", trust_env=False).json()["paths"]
    wanted = {
        f"{method}-{path}" for path, operations in paths.items() for method in METHODS if method in operations
    }
    links = page.locator(".nav-bar-path").evaluate_all("all => all.map(link => link.dataset.contentId)")
    assert set(links) == {name.replace("{", "-").replace("}", "-") for name in wanted}
    page.locator("[data-content-id='post-/api/admin/scans/upload'].nav-bar-path").click()
    page.get_by_text("Take any number of slices of one patient").last.wait_for()
    assert page.locator("rapi-doc").evaluate("element => element.shadowRoot.styleSheets.length") > 0
    assert watch.origins == {running.api}


def test_what_the_pages_policy_forbids_does_not_go_unnoticed(
    context: "BrowserContext", running: Running
) -> None:
    watch = Watch(context)
    page = context.new_page()
    page.goto(f"{running.api}/api/docs")
    with page.expect_console_message(lambda message: message.text.startswith("policy violation: img-src")):
        page.evaluate("() => { new Image().src = 'http://elsewhere.invalid/x.png'; }")
    assert any("policy violation: img-src" in complaint for complaint in watch.complaints)
