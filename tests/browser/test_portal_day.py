"""A clinic's day: twenty slices are dropped, a worker dies, and the patient reads the report."""

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from stack.settings import DEFAULT_SAMPLES
from tests.browser.portal import (
    PASSWORD,
    PATIENCE_MS,
    PatientLogin,
    assert_no_barriers,
    drop_files,
    looking,
    shoot,
    sign_in,
    sign_in_as_staff,
    wait_for_pictures,
)
from tests.browser.running import Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SAMPLES = sorted(DEFAULT_SAMPLES.glob("*.png"))
NUMBER = 20
OPACITY = "element => getComputedStyle(element).opacity"


def test_from_twenty_dropped_slices_to_the_report_that_the_patient_reads(
    browser: "Browser", running: Running, tmp_path: Path
) -> None:
    with looking(browser, running, "day-of-the-staff") as (page, _):
        sign_in_as_staff(page, running)
        shoot(page, "dashboard-empty")
        login = create_patient(page)
        page.get_by_role("link", name="Upload scans").first.click()
        drop_slices(page)
        with page.expect_response("**/api/batches/*/scans"):
            page.locator("#send").click()
        running.signal_scan_worker(signal.SIGKILL)  # its supervisor starts another, which loads its model
        done = page.locator("#news", has_text=f"Done: {NUMBER} analysed, 0 not.")
        done.wait_for(state="attached", timeout=3 * PATIENCE_MS)
        shoot(page, "twenty-uploaded")
        read_a_scan(page)
        make_report(page)
        page.get_by_role("link", name="Dashboard").click()
        page.get_by_role("heading", level=1).wait_for()
        assert_no_barriers(page)
        shoot(page, "dashboard")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("You have signed out.").wait_for()
    with looking(browser, running, "day-of-the-patient") as (page, _):
        read_as_patient(page, login, tmp_path / "report.pdf")


def create_patient(page: "Page") -> PatientLogin:
    """By the pages; the credentials are read where the staff reads them."""
    page.get_by_role("link", name="Patients", exact=True).click()
    page.get_by_role("link", name="New patient").click()
    page.get_by_label("Name").fill("Dora Day")
    page.get_by_label("E-mail").fill("dora.day@example.org")
    page.get_by_role("button", name="Create the patient").click()
    page.get_by_role("button", name="Copy: Password").wait_for()
    login = PatientLogin(page.locator("#username").inner_text(), page.locator("#password").inner_text())
    page.get_by_role("link", name="To the patient").click()
    page.get_by_role("heading", name="Dora Day").wait_for()
    return login


def drop_slices(page: "Page") -> None:
    samples = [path.read_bytes() for path in SAMPLES]
    drop_files(page, [(f"slice-{number:02}.png", samples[number % len(samples)]) for number in range(NUMBER)])


def read_a_scan(page: "Page") -> None:
    page.get_by_role("link", name="Open the scan slice-04.png").click()
    page.wait_for_url("**/portal/staff/scans/*")
    wait_for_pictures(page)
    page.get_by_role("slider", name="Strength of the colours").fill("40")
    assert page.locator("#overlay").evaluate(OPACITY) == "0.4"
    page.get_by_role("button", name="Zoom in").click()
    assert page.locator("[data-zoom-value]").inner_text() != "100%"
    page.get_by_role("button", name="Whole picture").click()
    page.get_by_role("slider", name="Strength of the colours").fill("100")
    page.get_by_label("A tumour", exact=True).check()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("agrees with the program").wait_for()
    wait_for_pictures(page)
    assert_no_barriers(page)
    shoot(page, "reviewed-scan")


def make_report(page: "Page") -> None:
    page.get_by_role("link", name="Dora Day").first.click()
    page.get_by_role("button", name="Report of all analysed scans").click()
    page.wait_for_url(re.compile("/portal/staff/reports/"))
    page.get_by_role("link", name="Download").first.wait_for()
    assert_no_barriers(page)
    shoot(page, "new-report")


def read_as_patient(page: "Page", login: PatientLogin, to: Path) -> None:
    sign_in(page, login)
    page.get_by_label("Current password").fill(login.password)
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD)
    page.get_by_role("button", name="Save the password").click()
    page.get_by_role("link", name="Go on").click()
    page.wait_for_url("**/portal/scans")
    assert page.locator(".card").count() == NUMBER
    page.locator(".card", has_text="slice-04.png").get_by_role("link").click()
    page.wait_for_url("**/portal/scans/*")
    wait_for_pictures(page)
    page.get_by_text("radiologist").first.wait_for()
    assert_no_barriers(page)
    shoot(page, "patient-scan")
    page.get_by_role("link", name="My reports").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download report").click()
    started.value.save_as(to)
    assert to.read_bytes().startswith(b"%PDF")
