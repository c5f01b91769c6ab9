"""The staff's uploads in a browser: from dropped files to results, lost connections, cancelling, barriers."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from stack.client import ApiClient
from tests.browser.portal import (
    SLICES,
    assert_no_barriers,
    drop_files,
    looking,
    shoot,
    sign_in_as_staff,
)
from tests.browser.running import Running
from tests.browser.watch import Watch
from tests.fakes import picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route, StorageState

PHONE = {"viewport": {"width": 375, "height": 812}, "has_touch": True, "color_scheme": "dark"}


@pytest.fixture(scope="module")
def desk(browser: "Browser", running: Running) -> "tuple[StorageState, int]":
    """An admin's cookies, and the number of a patient."""
    access = running.access
    with ApiClient.signed_in(access.url, access.username, access.password) as admin:
        facts = {"name": "Uma Upload", "email": "uma.upload@example.org", "age": 51}
        number = int(admin.http.post("/api/admin/patients", json=facts).json()["data"]["id"])
    with looking(browser, running, "staff-signed-in") as (page, _):
        sign_in_as_staff(page, running)
        return page.context.storage_state(), number


@pytest.fixture
def upload_page(
    browser: "Browser", running: Running, desk: "tuple[StorageState, int]", request: pytest.FixtureRequest
) -> "Iterator[tuple[Page, Watch]]":
    options: dict[str, Any] = {"storage_state": desk[0]}
    with looking(browser, running, request.node.name, **options) as (page, watch):
        page.goto(f"/portal/upload?patient={desk[1]}")
        yield page, watch


def made(number: int) -> list[Any]:
    """That many small pictures, to be chosen."""
    return [
        {"name": f"slice-{n:03}.png", "mimeType": "image/png", "buffer": picture(20 + n, (64, 48))}
        for n in range(number)
    ]


def states(page: "Page") -> list[str]:
    return page.locator("#uploads [data-state]").all_inner_texts()


def forgive(watch: Watch, wanted: str) -> None:
    """Drop complaints about what the test brought about."""
    watch.complaints[:] = [line for line in watch.complaints if wanted not in line]


def test_dropped_files_are_followed_to_their_results(upload_page: "tuple[Page, Watch]") -> None:
    page, _ = upload_page
    assert_no_barriers(page)
    drop_files(page, [*((path.name, path.read_bytes()) for path in SLICES), ("notes.txt", b"hi")])
    assert states(page) == ["Ready", "Ready", "Not accepted"]
    page.get_by_role("button", name="Remove notes.txt from the list").press("Enter")
    assert_no_barriers(page)
    page.locator("#send").press("Enter")
    page.locator("#left", has_text="Done: 2 analysed, 0 not.").wait_for()
    assert page.locator(":focus").inner_text() == "Files", "the button is gone, the place is kept"
    assert states(page) == ["No tumour found", "Tumour"]
    assert_no_barriers(page)
    shoot(page, "uploaded")
    page.get_by_role("link", name=f"Open the scan {SLICES[1].name}").click()
    page.wait_for_url("**/portal/staff/scans/*")
    page.go_back()
    page.goto("/portal/patients")
    page.get_by_role("link", name="Uma Upload").click()
    assert page.locator(".card").count() == 2
    assert_no_barriers(page)


def test_what_gets_lost_on_the_way_is_sent_again_and_makes_nothing_twice(
    upload_page: "tuple[Page, Watch]",
) -> None:
    page, watch = upload_page
    lost: list[str | None] = []

    def lose_first_answers(route: "Route") -> None:
        """One answer is lost when the scans are there already, then the server asks to wait a moment."""
        key = route.request.header_value("Idempotency-Key")
        lost.append(key)
        if len(lost) == 1:
            route.fetch()
            route.abort("connectionreset")
        elif len(lost) == 2:
            watch.provoke(503, route.request.url.removeprefix(page.url.partition("/portal")[0]))
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"success": False, "error": "Busy."})
        else:
            route.continue_()

    page.route("**/api/batches/*/scans", lose_first_answers)
    page.locator("#files").set_input_files(made(20))
    page.locator("#name").fill("Many slices")
    page.locator("#send").click()
    page.locator("#left", has_text="Done: 20 analysed, 0 not.").wait_for()
    assert page.locator("#sent-text").inner_text().startswith("Sent: 20 of 20 files")
    assert lost.count(lost[0]) == 2
    forgive(watch, "ERR_CONNECTION_RESET")
    page.get_by_role("link", name="To the batch").click()
    page.get_by_role("heading", name="Many slices").wait_for()
    page.locator(".so-far", has_text="20 of 20").wait_for()
    assert_no_barriers(page)


def test_what_was_not_taken_is_sent_again_and_what_failed_is_analysed_again(
    upload_page: "tuple[Page, Watch]", running: Running
) -> None:
    page, watch = upload_page
    originals = running.stack.state.root / "images" / "original"

    def refuse(route: "Route") -> None:
        watch.provoke(401, urlsplit(route.request.url).path)
        route.fulfill(status=401, json={"success": False, "error": "Please sign in."})

    page.route("**/api/admin/scans/upload", refuse)
    page.locator("#files").set_input_files(made(1))
    page.locator("#send").click()
    page.locator("#left", has_text="Done: 0 analysed, 1 not.").wait_for()
    page.get_by_text("You are signed out.").wait_for()
    assert_no_barriers(page)
    page.unroute("**/api/admin/scans/upload")

    before = set(originals.rglob("*.png"))
    with stopped_worker(running):  # so that the original can go missing before it is read
        with page.expect_response("**/api/admin/scans/upload"):
            page.locator("#resend").click()
        [original] = set(originals.rglob("*.png")) - before
        original.rename(original.with_suffix(".away"))
    page.locator("#uploads [data-state]", has_text="Failed").wait_for()
    assert_no_barriers(page)
    shoot(page, "failed")
    original.with_suffix(".away").rename(original)
    page.locator("#retry").click()
    page.locator("#left", has_text="Done: 1 analysed, 0 not.").wait_for()
    assert page.locator("#retry").is_hidden()


@contextmanager
def stopped_worker(running: Running) -> Iterator[None]:
    running.signal_scan_worker(signal.SIGSTOP)
    try:
        yield
    finally:
        running.signal_scan_worker(signal.SIGCONT)


def test_the_rest_can_be_cancelled_and_the_page_warns_before_it_is_left(
    upload_page: "tuple[Page, Watch]",
) -> None:
    page, watch = upload_page
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.route("**/api/batches/*/scans", lambda _: None)  # never answered
    page.locator("#files").set_input_files(made(40))
    page.locator("#send").click()
    page.locator("#uploads [data-state]", has_text="Being sent").first.wait_for()
    page.close(run_before_unload=True)
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        page.locator("#stop").click()
    page.locator("#news", has_text="Stopped.").wait_for(state="attached")
    page.locator("#left", has_text="Done: 0 analysed, 40 not.").wait_for()
    assert set(states(page)) == {"Stopped"}
    forgive(watch, "ERR_ABORTED POST")


def test_without_scripts_and_on_a_phone_the_pages_have_no_barriers(
    browser: "Browser", running: Running, desk: "tuple[StorageState, int]"
) -> None:
    storage, number = desk
    options: dict[str, Any] = {"storage_state": storage, "java_script_enabled": False}
    with looking(browser, running, "upload-no-script", **options) as (page, _):
        page.goto(f"/portal/upload?patient={number}")
        page.locator("#files").set_input_files(made(2))
        page.get_by_role("button", name="Upload").click()
        page.get_by_text("2 files are accepted").wait_for()
        page.get_by_role("link", name="Follow the analysis").click()
        page.wait_for_url("**/portal/batches/*")
    with looking(browser, running, "upload-phone", storage_state=storage, **PHONE) as (page, _):
        for address in (
            "patients",
            "patients/new",
            f"patients/{number}",
            f"patients/{number}/edit",
            f"patients/{number}/reset-password",
            "upload",
            f"upload?patient={number}",
            "batches",
        ):
            page.goto(f"/portal/{address}")
            assert_no_barriers(page)
        page.goto("/portal/patients/new")
        page.get_by_label("Name").fill("Pia Phone")
        page.get_by_label("E-mail").fill("pia.phone@example.org")
        page.get_by_role("button", name="Create the patient").click()
        page.get_by_role("button", name="Copy: Password").click()
        page.locator("#news", has_text="Password").wait_for(state="attached")
        assert_no_barriers(page)
