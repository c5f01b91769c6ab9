"""What people do on the frontend's pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stack.access import Access

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

LOADED = "images => images.map(image => image.complete && image.naturalWidth > 0)"


@dataclass(frozen=True)
class Credentials:
    """What an admin reads to a new patient."""

    username: str
    password: str


def log_in(page: "Page", at: str, username: str, password: str) -> None:
    page.goto(at)
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def log_in_admin(page: "Page", access: Access) -> None:
    log_in(page, "/admin.html", access.username, access.password)
    page.locator("#patients").wait_for()  # a figure of the dashboard


def log_in_patient(page: "Page", credentials: Credentials) -> None:
    log_in(page, "/login.html", credentials.username, credentials.password)
    page.locator("#name", has_text="(P").wait_for()  # the display id, once all was fetched


def sign_out(page: "Page") -> None:
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()


def number_shown(page: "Page", name: str) -> int:
    """A figure of the dashboard."""
    return int(page.locator(f"#{name}").inner_text())


def add_patient(page: "Page", **fields: str) -> Credentials:
    """Fill the form in, by the labels of its fields; the others stay empty."""
    page.goto("/patients.html")
    for label, text in fields.items():
        field = page.get_by_label(label)
        if label == "Gender":
            field.select_option(text)
        else:
            field.fill(text)
    page.get_by_role("button", name="Add patient").click()
    shown = page.locator("#password")
    shown.wait_for()
    return Credentials(page.locator("#username").inner_text(), shown.inner_text())


def open_patient(page: "Page", name: str) -> int:
    """Follow the link in the list of patients; the id in the page's address."""
    page.goto("/patients.html")
    page.get_by_role("link", name=name).click()
    page.locator("#name", has_text=name).wait_for()
    return int(page.url.rpartition("=")[2])


def upload(page: "Page", files: Sequence[Path]) -> "Locator":
    """Send the files; the results' cards."""
    page.get_by_label("Scans").first.set_input_files(files)
    page.get_by_role("button", name="Upload").click()
    cards = page.locator("#results .card")
    cards.first.wait_for()
    return cards


def download(page: "Page", button: str, to: Path) -> bytes:
    """Press a button that ends in a download; the file's content."""
    with page.expect_download() as started:
        page.get_by_role("button", name=button).first.click()
    started.value.save_as(to)
    return to.read_bytes()


def pictures_loaded(page: "Page", section: str) -> list[bool]:
    """For each picture of a section whether it shows, once all were fetched or refused."""
    images = page.locator(f"#{section} img")
    page.wait_for_function(
        "selector => [...document.querySelectorAll(selector)].every(image => image.complete)",
        arg=f"#{section} img",
    )
    shown: list[bool] = images.evaluate_all(LOADED)
    return shown
