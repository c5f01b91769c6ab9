"""The staff's dashboard, jobs, audit trail and system in a browser, over the whole stack."""

from typing import TYPE_CHECKING, Any

import pytest

from stack.client import ApiClient
from tests.browser.portal import SLICES, assert_no_barriers, looking, shoot, sign_in_as_staff
from tests.browser.running import Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, StorageState

PAGES = ("staff", "worklist", "jobs", "audit?check=newest", "system")
LOOKS: dict[str, dict[str, Any]] = {
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 375, "height": 812}, "has_touch": True, "locale": "de-DE"},
}


@pytest.fixture(scope="module")
def signed_in(browser: "Browser", running: Running) -> "StorageState":
    """The admin's cookies, once there is something to show."""
    access = running.access
    with ApiClient.signed_in(access.url, access.username, access.password) as admin:
        facts = {"name": "Olga Ops", "email": "olga.ops@example.org"}
        made = admin.http.post("/api/admin/patients", json=facts).json()["data"]
        admin.wait_for_jobs(
            [upload.job_id or "" for upload in admin.upload(made["id"], SLICES)], lambda _: None
        )
    with looking(browser, running, "ops-signed-in") as (page, _):
        sign_in_as_staff(page, running)
        return page.context.storage_state()


def test_the_staff_follows_the_work(browser: "Browser", running: Running, signed_in: "StorageState") -> None:
    with looking(browser, running, "ops", storage_state=signed_in) as (page, _):
        page.goto("/portal/staff")
        page.get_by_role("heading", name="Dashboard").wait_for()
        assert_no_barriers(page)
        renews_itself(page)
        page.goto("/portal/jobs?kind=scan&status=succeeded")
        page.locator("tbody a").first.click()
        page.get_by_role("heading", name="What happened").wait_for()
        assert page.get_by_text("Succeeded").count() == 1
        assert_no_barriers(page)
        shoot(page, "ops-job")
        page.get_by_role("link", name="System").click()
        page.get_by_role("heading", name="Ready for work").wait_for()
        assert page.get_by_text("Alive", exact=True).count() >= 2
        assert page.locator("#flower").get_attribute("href") == running.access.flower_url
        page.get_by_role("heading", name="resnet18-local-evidence").wait_for()
        assert_no_barriers(page)
        shoot(page, "ops-system")
        page.get_by_role("link", name="Audit trail").click()
        page.get_by_role("link", name="Check the newest rows").click()
        page.get_by_text("rows are unbroken").wait_for()
        assert_no_barriers(page)


def renews_itself(page: "Page") -> None:
    """The live region is replaced: what was unfolded stays so, and the focus where it was."""
    page.locator("#hours-table summary").click()
    first = page.locator("#live").element_handle()
    page.locator("#newest + ul a").first.focus()
    focused = page.evaluate("document.activeElement.id")
    page.wait_for_function("old => !old.isConnected", arg=first)
    assert page.locator("#hours-table").get_attribute("open") is not None
    assert page.evaluate("document.activeElement.id") == focused
    page.get_by_role("link", name="Pause").click()
    assert page.locator("#live").get_attribute("data-every") is None


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_of_the_staff_has_barriers(
    browser: "Browser", running: Running, signed_in: "StorageState", look: str
) -> None:
    with looking(browser, running, f"{look}-ops", storage_state=signed_in, **LOOKS[look]) as (page, _):
        for address in PAGES:
            page.goto(f"/portal/{address}")
            assert_no_barriers(page)
            shoot(page, f"{look}-ops-{address.partition('?')[0]}")
