"""The existing frontend's whole way through the API, in a browser: nothing here knows jobs or tokens."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pypdf import PdfReader

from stack.settings import DEFAULT_SAMPLES
from stack.slices import expected_predictions
from tests.browser.running import ARTIFACTS, Running
from tests.browser.steps import (
    add_patient,
    download,
    log_in,
    log_in_admin,
    log_in_patient,
    number_shown,
    open_patient,
    pictures_loaded,
    sign_out,
    upload,
)
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

GREEN, RED = "rgb(0, 128, 0)", "rgb(200, 0, 0)"
COLOUR = "element => getComputedStyle(element).color"
TYPES = ("01_no_tumor", "02_no_tumor", "05_ring_lesion", "06_meningioma", "08_pituitary")
SLICES = [DEFAULT_SAMPLES / f"phantom_{name}.png" for name in TYPES]
EXPECTED = [expected_predictions(DEFAULT_SAMPLES)[file.name] for file in SLICES]
FIGURES = ("patients", "scans", "reports", "tumor", "no-tumor")
ASK = """async address => {
  const answer = await fetch(address, { credentials: 'include' });
  return { status: answer.status, body: await answer.json() };
}"""


def test_scans_go_from_upload_to_the_patients_own_page(
    page: "Page", running: Running, tmp_path: Path
) -> None:
    log_in_admin(page, running.access)
    before = [number_shown(page, name) for name in FIGURES]
    credentials = add_patient(page, Name="Nora Whitfield", **{"E-mail": "nora@example.org"}, Age="47")
    open_patient(page, "Nora Whitfield")

    assert_five_results(upload(page, SLICES))
    assert pictures_loaded(page, "results") == [True] * 15
    assert_stored_scans(page)
    page.screenshot(path=ARTIFACTS / "results.png", full_page=True)
    assert_report_of("Nora Whitfield", download(page, "Generate report", tmp_path / "first.pdf"))
    assert_report_of("Nora Whitfield", download(page, "Download", tmp_path / "again.pdf"))
    page.goto("/dashboard.html")
    after = [number_shown(page, name) for name in FIGURES]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 5, 1, 3, 2]
    page.screenshot(path=ARTIFACTS / "dashboard.png")
    sign_out(page)

    log_in_patient(page, credentials)
    page.locator("#reports li").wait_for()
    assert page.locator("#name").inner_text().startswith("Nora Whitfield (P")
    assert_stored_scans(page)
    assert_report_of("Nora Whitfield", download(page, "Download", tmp_path / "own.pdf"))


def test_a_wrong_password_shows_the_apis_words(page: "Page", watch: Watch, running: Running) -> None:
    for at, kind in (("/admin.html", "admin"), ("/login.html", "patient")):
        watch.provoke(401, f"/api/{kind}/login")
        log_in(page, at, running.access.username, "a wrong password")
        page.get_by_role("alert").get_by_text("Invalid credentials", exact=True).wait_for()


def test_another_patients_record_is_refused(page: "Page", watch: Watch, running: Running) -> None:
    log_in_admin(page, running.access)
    own = add_patient(page, Name="Ada Quill", **{"E-mail": "ada@example.org"}, Gender="Female")
    add_patient(page, Name="Ben Okafor", **{"E-mail": "ben@example.org"}, Phone="+44 20 7946 0018")
    other = open_patient(page, "Ben Okafor")
    sign_out(page)
    log_in_patient(page, own)
    for path in (
        f"/api/patient/{other}",
        f"/api/patient/{other}/scans",
        f"/api/patient/{other}/reports",
        "/api/admin/patients",
    ):
        watch.provoke(403, path)
        answer = page.evaluate(ASK, f"{running.api}{path}")
        assert (answer["status"], answer["body"]["code"]) == (403, "AUTHORIZATION_ERROR")
        assert set(answer["body"]) == {"success", "error", "code"}


def test_a_refused_file_is_named_beside_the_good_one(page: "Page", running: Running, tmp_path: Path) -> None:
    log_in_admin(page, running.access)
    add_patient(page, Name="Cleo Marsh", **{"E-mail": "cleo@example.org"})
    open_patient(page, "Cleo Marsh")
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    cards = upload(page, [text, SLICES[2]])
    assert cards.first.inner_text().startswith("notes.png: ")
    assert cards.locator(".prediction").all_inner_texts() == ["Tumor"]


def test_what_the_api_refuses_is_shown_in_its_own_words(
    page: "Page", watch: Watch, running: Running, tmp_path: Path
) -> None:
    log_in_admin(page, running.access)
    fields = {"Name": "Dana Frost", "E-mail": "dana@example.org"}
    add_patient(page, **fields)
    watch.provoke(409, "/api/admin/patients")
    page.get_by_label("Name").fill("Dana Frost")
    page.get_by_label("E-mail").fill("dana@example.org")
    page.get_by_role("button", name="Add patient").click()
    page.get_by_role("alert").get_by_text("e-mail").wait_for()
    open_patient(page, "Dana Frost")
    watch.provoke(400, "/api/report/generate")
    page.get_by_role("button", name="Generate report").click()
    page.get_by_role("alert").get_by_text("No scans found for report", exact=True).wait_for()
    huge = tmp_path / "huge.png"
    huge.write_bytes(bytes(17 * 1024 * 1024))
    watch.provoke(413, "/api/admin/scans/upload")
    page.get_by_label("Scans").first.set_input_files(huge)
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("alert").get_by_text("too large").wait_for()


def assert_five_results(cards: "Locator") -> None:
    assert [card.inner_text().split()[0] for card in cards.all()] == [file.name for file in SLICES]
    assert_painted(cards.locator(".prediction"), EXPECTED)
    for card in cards.all():
        confidence, probability = (
            float(card.locator(f".{name}").inner_text()) for name in ("confidence", "probability")
        )
        assert confidence == pytest.approx(max(probability, 1 - probability), abs=1e-4)


def assert_stored_scans(page: "Page") -> None:
    assert_painted(page.locator("#scans .prediction"), EXPECTED[::-1])
    assert pictures_loaded(page, "scans") == [True] * 15


def assert_painted(words: "Locator", expected: list[str]) -> None:
    assert words.all_inner_texts() == expected
    colours = [word.evaluate(COLOUR) for word in words.all()]
    assert colours == [RED if word == "Tumor" else GREEN for word in expected]


def assert_report_of(name: str, content: bytes) -> None:
    assert content.startswith(b"%PDF")
    assert name in " ".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages)
