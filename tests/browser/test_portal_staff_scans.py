"""The staff's scans and reports in a browser: from the list to the pictures and to the PDF in its page."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.portal import (
    assert_no_barriers,
    looking,
    patient_with_scans,
    shoot,
    sign_in_as_staff,
    wait_for_pictures,
)
from tests.browser.running import Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, StorageState

OWNER = "Sara Scans"
LOOKS: dict[str, dict[str, Any]] = {
    "dark": {"color_scheme": "dark"},
    "phone-german": {"viewport": {"width": 375, "height": 812}, "has_touch": True, "locale": "de-DE"},
}
TRANSFORMS = "all => all.map(layers => layers.style.transform)"


@pytest.fixture(scope="module")
def signed_in(browser: "Browser", running: Running) -> "StorageState":
    """The admin's cookies, and a patient with two scans and a report."""
    patient_with_scans(running, OWNER, has_own_password=False)
    with looking(browser, running, "scans-signed-in") as (page, _):
        sign_in_as_staff(page, running)
        return page.context.storage_state()


def open_list(page: "Page") -> None:
    """Of that patient alone, whatever other tests have made."""
    page.goto("/portal/staff/scans")
    page.get_by_role("row").filter(has_text=OWNER).first.get_by_role("link", name=OWNER).wait_for()
    number = page.get_by_role("row").filter(has_text=OWNER).first.locator(".code").inner_text()
    page.get_by_label("Number of a patient or scan").fill(number)
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**patient=*")


def test_from_the_list_to_the_pictures_and_the_report(
    browser: "Browser", running: Running, signed_in: "StorageState"
) -> None:
    with looking(browser, running, "staff-report", storage_state=signed_in) as (page, watch):
        open_list(page)
        assert page.get_by_role("row").count() == 1 + 2
        page.get_by_label("Result").select_option("Tumour")
        page.get_by_role("button", name="Show").click()
        page.wait_for_url("**outcome=tumor*")
        assert page.get_by_role("row").count() == 1 + 1
        shoot(page, "staff-scans")
        page.locator("tbody th a").click()
        page.wait_for_url("**/portal/staff/scans/*")
        wait_for_pictures(page)
        shoot(page, "staff-scan")
        zoom(page)
        open_list(page)
        for box in page.get_by_role("checkbox").all():
            box.check()
        page.get_by_role("button", name="Make a report of the chosen scans").click()
        page.locator("iframe").wait_for()  # once the report is made, the page renews itself
        with page.expect_response("**/file") as answer:
            page.reload()
        assert answer.value.ok
        assert page.request.get(answer.value.url).body().startswith(b"%PDF")
        watch.provoke(400, "/portal/staff/reports")
        page.goto("/portal/staff/scans")
        page.get_by_role("button", name="Make a report of the chosen scans").click()
        page.get_by_text("No scan was chosen.").wait_for()
        assert_no_barriers(page)


def zoom(page: "Page") -> None:
    """By button, keys, wheel and mouse; all pictures move together."""
    layers, value = page.locator(".layers"), page.locator("[data-zoom-value]")
    pictures = page.get_by_role("group", name="Pictures side by side, zoomed together")
    page.get_by_role("button", name="Zoom in").click()
    assert value.inner_text() == "125%"
    pictures.focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    assert layers.evaluate_all(TRANSFORMS) == ["translate(-10%, 0%) scale(1.5625)"] * 3
    pane = page.locator(".pane").last.bounding_box()
    assert pane is not None
    page.mouse.move(pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] / 2)
    page.mouse.wheel(0, -100)
    page.wait_for_function("document.querySelector('[data-zoom-value]').textContent === '195%'")
    before = layers.evaluate_all(TRANSFORMS)
    page.mouse.down()
    page.mouse.move(pane["x"] + pane["width"] / 2 + 40, pane["y"] + pane["height"] / 2 + 20)
    page.mouse.up()
    assert layers.evaluate_all(TRANSFORMS) != before
    page.keyboard.press("0")
    assert layers.evaluate_all(TRANSFORMS) == ["translate(0%, 0%) scale(1)"] * 3
    assert pictures.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.get_by_role("slider", name="Strength of the colours").fill("30")
    assert page.locator("#overlay").evaluate("element => getComputedStyle(element).opacity") == "0.3"


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_barriers(
    browser: "Browser", running: Running, signed_in: "StorageState", look: str
) -> None:
    with looking(browser, running, f"{look}-staff-report", storage_state=signed_in, **LOOKS[look]) as (
        page,
        _,
    ):
        for name in ("scans", "reports"):
            page.goto(f"/portal/staff/{name}")
            assert_no_barriers(page)
            shoot(page, f"{look}-staff-{name}")
            page.locator("tbody th a").first.click()
            page.wait_for_url(f"**/portal/staff/{name}/*")
            if name == "scans":
                wait_for_pictures(page)
                shoot(page, f"{look}-staff-scan")
            assert_no_barriers(page)


def test_without_scripts_pictures_and_reports_are_there(
    browser: "Browser", running: Running, signed_in: "StorageState"
) -> None:
    with looking(browser, running, "no-script-staff", storage_state=signed_in, java_script_enabled=False) as (
        page,
        _,
    ):
        open_list(page)
        page.locator("tbody th a").first.click()
        page.wait_for_url("**/portal/staff/scans/*")
        assert not page.get_by_role("button", name="Zoom in").is_visible()
        assert page.get_by_role("link", name="in full size").count() == 3
        page.get_by_role("button", name="Make a report of this scan").click()
        page.wait_for_url("**/portal/staff/reports/R*")
        ready = page.get_by_role("link", name="Download the PDF")
        for _ in range(40):
            if ready.is_visible():
                break
            page.wait_for_timeout(250)
            page.get_by_role("link", name="Show what is new").click()
        assert ready.is_visible()
