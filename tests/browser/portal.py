"""What people do on the product's own pages, and who looks at them."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from stack.client import ApiClient
from stack.settings import DEFAULT_SAMPLES
from tests.browser.running import ARTIFACTS, Running
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MS = 40_000
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
WIDER_THAN_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
SLICES = [DEFAULT_SAMPLES / f"phantom_{name}.png" for name in ("01_no_tumor", "05_ring_lesion")]
PASSWORD = "a longer phrase of my own"
DROP = """([transfer, files]) => {
  for (const [name, data] of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
}"""


@dataclass(frozen=True)
class PatientLogin:
    """A patient with two analysed scans and a report."""

    username: str
    password: str


def patient_with_scans(running: Running, name: str, has_own_password: bool) -> PatientLogin:
    """Made over the API, as the staff does it."""
    access = running.access
    with ApiClient.signed_in(access.url, access.username, access.password) as admin:
        facts = {"name": name, "email": f"{name.replace(' ', '.').lower()}@example.org"}
        made = admin.http.post("/api/admin/patients", json=facts).json()["data"]
        jobs = [upload.job_id or "" for upload in admin.upload(made["id"], SLICES)]
        admin.wait_for_jobs(jobs, lambda _: None)
        report = {"patient_id": made["id"]}  # the API holds the answer until it is there
        admin.http.post("/api/report/generate", json=report, headers={"Prefer": "wait=25"}).raise_for_status()
    if not has_own_password:
        return PatientLogin(made["username"], made["password"])
    with httpx.Client(base_url=access.url, trust_env=False, timeout=PATIENCE_MS / 1000) as own:
        login = {"username": made["username"], "password": made["password"]}
        token = own.post("/api/patient/login", json=login).json()["token"]
        change = {"current_password": made["password"], "new_password": PASSWORD}
        headers = {"Authorization": f"Bearer {token}"}
        own.post("/api/account/password", json=change, headers=headers).raise_for_status()
    return PatientLogin(made["username"], PASSWORD)


@contextmanager
def looking(
    browser: "Browser", running: Running, name: str, **options: Any
) -> "Iterator[tuple[Page, Watch]]":
    """A browser of its own at our pages; its last look is kept, and everything it complained about fails."""
    viewport = options.pop("viewport", {"width": 1280, "height": 900})
    with browser.new_context(base_url=running.api, viewport=viewport, **options) as context:
        context.set_default_timeout(PATIENCE_MS)
        watch = Watch(context)
        page = context.new_page()
        try:
            yield page, watch
        finally:
            shoot(page, name)
        assert watch.complaints == []
        assert watch.origins <= {running.api}


def shoot(page: "Page", name: str) -> None:
    page.screenshot(path=ARTIFACTS / f"portal-{name}.png", full_page=True)


def sign_in(page: "Page", login: PatientLogin) -> None:
    page.goto("/")
    page.get_by_label("User name").fill(login.username)
    page.get_by_label("Password").fill(login.password)
    page.get_by_role("button", name="Sign in").click()


def sign_in_as_staff(page: "Page", running: Running) -> None:
    page.goto("/portal/sign-in?as=staff")
    page.get_by_label("User name").fill(running.access.username)
    page.get_by_label("Password").fill(running.access.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/portal/staff")


def drop_files(page: "Page", files: Sequence[tuple[str, bytes]]) -> None:
    """Onto the upload page, as if they had been dragged there; by name and content."""
    transfer = page.evaluate_handle("new DataTransfer()")
    page.evaluate(DROP, [transfer, [[name, b64encode(data).decode()] for name, data in files]])
    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": transfer})
    page.locator("#send").wait_for()


def open_newest_scan(page: "Page") -> None:
    page.get_by_role("link", name="Scan of").first.click()
    page.wait_for_url("**/portal/scans/*")
    wait_for_pictures(page)


def wait_for_pictures(page: "Page") -> None:
    page.wait_for_load_state("load")
    images = page.locator("main img")
    shown = images.evaluate_all("all => all.map(image => image.complete && image.naturalWidth > 0)")
    assert all(shown)


def download_report(page: "Page", to: Path) -> bytes:
    with page.expect_download() as started:
        page.get_by_role("link", name="Download report").first.click()
    started.value.save_as(to)
    return to.read_bytes()


def assert_no_barriers(page: "Page") -> None:
    """axe-core finds nothing, and nothing makes the page wider than the screen."""
    from axe_playwright_python.sync_playwright import Axe  # needs playwright, which a laptop may lack

    results = Axe().run(page, options=RULES)
    assert results.violations_count == 0, results.generate_report()
    assert not page.evaluate(WIDER_THAN_SCREEN), f"{page.url} is wider than the screen"
