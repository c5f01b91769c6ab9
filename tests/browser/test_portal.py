"""The product's own pages in a browser: signing in, and a patient's scans and reports."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.portal import (
    PASSWORD,
    PatientLogin,
    assert_no_barriers,
    download_report,
    looking,
    open_newest_scan,
    patient_with_scans,
    shoot,
    sign_in,
    wait_for_pictures,
)
from tests.browser.running import Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route, StorageState

OPACITY = "element => getComputedStyle(element).opacity"
PHONE = {"width": 375, "height": 812}
LOOKS: dict[str, dict[str, Any]] = {
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True},
    "narrow-german": {"viewport": {"width": 320, "height": 640}, "locale": "de-DE"},
}


@pytest.fixture(scope="module")
def nora(running: Running) -> PatientLogin:
    """Somebody who has been here before."""
    return patient_with_scans(running, "Nora Portal", has_own_password=True)


@pytest.fixture(scope="module")
def signed_in(browser: "Browser", running: Running, nora: PatientLogin) -> "StorageState":
    """Nora's cookies, so that not each look signs in anew."""
    with looking(browser, running, "signed-in") as (page, _):
        sign_in(page, nora)
        page.wait_for_url("**/portal/scans")
        return page.context.storage_state()


def test_from_the_first_sign_in_to_signing_out(browser: "Browser", running: Running, tmp_path: Path) -> None:
    login = patient_with_scans(running, "Ada Portal", has_own_password=False)
    with looking(browser, running, "first-visit") as (page, watch):
        watch.provoke(401, "/portal/sign-in")
        sign_in(page, PatientLogin(login.username, "wrong"))
        page.get_by_role("alert").wait_for()
        shoot(page, "wrong-password")
        assert_no_barriers(page)
        page.get_by_label("Password").fill(login.password)
        page.get_by_role("button", name="Sign in").click()
        choose_password(page, login, watch_errors=lambda: watch.provoke(400, "/portal/password"))
        assert page.locator(".card").count() == 2
        shoot(page, "scans")
        open_newest_scan(page)
        move_slider(page)
        shoot(page, "scan")
        page.get_by_role("link", name="My reports").click()
        assert download_report(page, tmp_path / "own.pdf").startswith(b"%PDF")
        shoot(page, "reports")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("You have signed out.").wait_for()
        page.go_back()
        page.wait_for_url(re.compile("/portal/sign-in"))  # nothing is left in the browser


def choose_password(page: "Page", login: PatientLogin, watch_errors: Any) -> None:
    page.get_by_text("Choose one of your own").wait_for()
    assert_no_barriers(page)
    for repeated in ("something else", PASSWORD):
        watch_errors()
        page.get_by_label("Current password").fill(login.password)
        page.get_by_label("New password", exact=True).fill(PASSWORD)
        page.get_by_label("New password again").fill(repeated)
        page.get_by_role("button", name="Save the password").click()
        if repeated != PASSWORD:
            field = page.get_by_label("New password again")
            assert field.get_attribute("aria-invalid") == "true"
            page.locator("#repeated_password-wrong", has_text="differ").wait_for()
            shoot(page, "password")
            assert_no_barriers(page)
    page.get_by_role("link", name="Go on").click()
    page.wait_for_url("**/portal/scans")


def move_slider(page: "Page") -> None:
    overlay = page.locator("#overlay")
    assert overlay.evaluate(OPACITY) == "1"
    slider = page.get_by_role("slider", name="Strength of the colours")
    slider.fill("30")
    assert overlay.evaluate(OPACITY) == "0.3"
    assert page.locator("output").inner_text() == "30%"
    slider.press("ArrowLeft")
    assert overlay.evaluate(OPACITY) == "0.25"


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_barriers(
    browser: "Browser", running: Running, signed_in: "StorageState", look: str
) -> None:
    with looking(browser, running, f"{look}-scan", storage_state=signed_in, **LOOKS[look]) as (page, watch):
        for name in ("nowhere", "sign-in", "password", "reports", "scans"):
            if name == "nowhere":
                watch.provoke(404, "/portal/nowhere")
            page.goto(f"/portal/{name}")
            assert_no_barriers(page)
            shoot(page, f"{look}-{name}")
        page.locator(".card a").first.click()
        page.wait_for_url("**/portal/scans/*")
        wait_for_pictures(page)
        assert_no_barriers(page)


def test_the_keyboard_alone_is_enough(browser: "Browser", running: Running, nora: PatientLogin) -> None:
    with looking(browser, running, "keyboard") as (page, _):
        page.goto("/portal/sign-in")
        tab_to(page, "#username")
        page.keyboard.type(nora.username)
        tab_to(page, "#password")
        page.keyboard.type(nora.password)
        page.keyboard.press("Enter")
        page.wait_for_url("**/portal/scans")
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the content"
        page.keyboard.press("Enter")
        tab_to(page, ".card a")
        assert page.locator(":focus").evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.wait_for_url("**/portal/scans/*")
        tab_to(page, "#opacity")
        page.keyboard.press("Home")
        assert page.locator("#overlay").evaluate(OPACITY) == "0"
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        assert page.locator("#overlay").evaluate(OPACITY) == "0.15"
        page.keyboard.press("Escape")
        page.goto("/portal/reports")
        tab_to(page, "a[href$=download]")
        with page.expect_download():
            page.keyboard.press("Enter")
        page.goto("/portal/scans")
        tab_to(page, "form[action$=logout] button")
        page.keyboard.press("Enter")
        page.get_by_text("You have signed out.").wait_for()


def tab_to(page: "Page", selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"Tab does not reach {selector}")


def test_without_scripts_everything_is_there(
    browser: "Browser", running: Running, nora: PatientLogin, tmp_path: Path
) -> None:
    with looking(browser, running, "no-script", java_script_enabled=False) as (page, _):
        sign_in(page, nora)
        page.wait_for_url("**/portal/scans")
        page.get_by_role("link", name="Scan of").first.click()
        page.wait_for_url("**/portal/scans/*")
        page.get_by_text("The colours are shown at full strength.").wait_for()
        assert page.locator("#overlay").is_visible()
        assert not page.locator("#opacity").is_visible()
        assert page.locator("h1 time").inner_text().endswith(" UTC")
        page.get_by_role("link", name="My reports").click()
        assert download_report(page, tmp_path / "own.pdf").startswith(b"%PDF")
        page.get_by_role("button", name="Deutsch").click()
        page.get_by_role("heading", name="Meine Berichte").wait_for()
        page.get_by_role("button", name="Abmelden").click()
        page.get_by_text("Sie haben sich abgemeldet.").wait_for()


def test_dates_are_in_the_viewers_zone(
    browser: "Browser", running: Running, signed_in: "StorageState"
) -> None:
    options = {"storage_state": signed_in, "timezone_id": "Asia/Kathmandu", "locale": "en-GB"}  # UTC+5:45
    with looking(browser, running, "zone", **options) as (page, _):
        page.goto("/portal/scans")
        shown = page.locator("time").first
        moment = datetime.fromisoformat(shown.get_attribute("datetime") or "")
        minute = (moment.astimezone(UTC).minute + 45) % 60
        assert re.search(rf":{minute:02d}\b", shown.inner_text())
        assert "UTC" in (shown.get_attribute("title") or "")


def test_a_page_renews_itself_when_a_job_ends(
    browser: "Browser", running: Running, signed_in: "StorageState"
) -> None:
    with looking(browser, running, "live", storage_state=signed_in) as (page, _):
        page.goto("/portal/scans")
        own = page.request.get("/api/account").json()["data"]["id"]
        [scan, *_] = page.request.get(f"/api/patient/{own}/scans").json()["data"]
        asked = 0

        def pretend_at_first(route: "Route") -> None:
            """Workers are too quick here: the first page says that they are still at it."""
            nonlocal asked
            asked += 1
            answer = route.fetch()
            body = answer.text().replace('data-jobs=""', f'data-jobs="{scan["job_id"]}=queued"')
            route.fulfill(response=answer, body=body if asked == 1 else answer.text())

        page.route("**/portal/scans", pretend_at_first)
        page.goto("/portal/scans")
        page.locator('#live[data-jobs=""]').wait_for()
        assert asked == 2
        assert page.locator(".card").count() == 2
        assert page.locator("#news").inner_text() != ""
