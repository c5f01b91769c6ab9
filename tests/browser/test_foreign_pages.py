"""Pages of other origins in the browser of somebody who is signed in."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.browser.running import Running
from tests.browser.sites import Site
from tests.browser.steps import add_patient, log_in_admin, number_shown, open_patient
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

SAME_SITE, OTHER_SITE = "localhost", "127.0.0.1"
READ = """async ([address, mode]) => {
  try { return await (await fetch(address, { credentials: 'include', mode })).text(); }
  catch (error) { return error.name; }
}"""
POST = """async ([address, mode, type]) => {
  const options = { method: 'POST', credentials: 'include', mode, headers: { 'Content-Type': type } };
  const body = '{"name": "Eve", "email": "eve@example.org"}';
  try { return await (await fetch(address, { ...options, body })).text(); }
  catch (error) { return error.name; }
}"""
UPLOAD = """async ([address, patient, slice]) => {
  const form = new FormData();
  form.append('patient_id', patient);
  form.append('files', await (await fetch(slice)).blob(), 'slice.png');
  await fetch(address, { method: 'POST', credentials: 'include', mode: 'no-cors', body: form });
}"""
SUBMIT = """address => {
  const form = document.createElement('form');
  Object.assign(form, { method: 'post', action: address, enctype: 'text/plain' });
  const [name, value] = ['{"name": "Eve", "email": "eve@example.org", "address": "', '"}'];
  form.append(Object.assign(document.createElement('input'), { name, value }));
  document.body.append(form);
  form.submit();
}"""
ONE_PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)


@pytest.fixture(params=[SAME_SITE, OTHER_SITE])
def foreign(request: pytest.FixtureRequest, context: "BrowserContext") -> "Iterator[Page]":
    """A page that CORS_ORIGINS does not name: of the site that gets the cookie, or of another one."""
    with Site() as site:
        page = context.new_page()
        page.goto(f"http://{request.param}:{urlsplit(site.origin).port}/login.html")
        yield page
        page.close()


@pytest.fixture
def watch(context: "BrowserContext") -> Watch:
    """Refusals are what these tests want: the complaints are not held against them."""
    return Watch(context)


def test_a_foreign_page_reads_nothing(page: "Page", foreign: "Page", running: Running) -> None:
    log_in_admin(page, running.access)
    address = f"{running.api}/api/admin/patients"
    assert '"success":true' in page.evaluate(READ, [address, "cors"])
    assert foreign.evaluate(READ, [address, "cors"]) == "TypeError"
    assert foreign.evaluate(READ, [address, "no-cors"]) == ""
    assert page.context.cookies(running.api)[0]["httpOnly"]
    assert (page.evaluate("document.cookie"), foreign.evaluate("document.cookie")) == ("", "")


def test_a_foreign_page_writes_nothing(page: "Page", foreign: "Page", running: Running) -> None:
    host = urlsplit(foreign.url).hostname
    log_in_admin(page, running.access)
    add_patient(page, Name=f"Victim of {host}", **{"E-mail": f"victim@{host}.example.org"})
    patient = open_patient(page, f"Victim of {host}")
    page.goto("/dashboard.html")
    before = [number_shown(page, name) for name in ("patients", "scans", "reports")]
    statuses: list[int] = []
    foreign.on("response", lambda answer: statuses.append(answer.status) if "/api/" in answer.url else None)

    new_patient = f"{running.api}/api/admin/patients"
    assert foreign.evaluate(POST, [new_patient, "cors", "application/json"]) == "TypeError"
    assert foreign.evaluate(POST, [new_patient, "no-cors", "text/plain"]) == ""
    foreign.evaluate(UPLOAD, [f"{running.api}/api/admin/scans/upload", str(patient), ONE_PIXEL])
    with foreign.expect_navigation():
        foreign.evaluate(SUBMIT, new_patient)
    # 403: the cookie came along and the page was refused. 401: the browser kept the cookie back.
    assert statuses == [403 if host == SAME_SITE else 401] * 3

    page.goto("/dashboard.html")
    assert [number_shown(page, name) for name in ("patients", "scans", "reports")] == before
