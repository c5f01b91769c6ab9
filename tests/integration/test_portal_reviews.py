"""The worklist and the form of a review, as pages that need no script."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, update

from shared.models import Scan
from shared.reviews import MAX_COMMENT
from shared.services import Services
from tests.fakes import MadeUpModel
from tests.integration.portal import GERMAN, Outline, upload
from worker.pipeline import ScanPipeline

WORKLIST = "/portal/worklist"
NAMES = ("first.png", "second.png", "third.png")


@pytest.fixture
def undecided(admin: FlaskClient, patient_id: int, model: MadeUpModel, pipeline: ScanPipeline) -> list[int]:
    """Three scans that the model left to a person, oldest first."""
    model.probability, model.review = 0.5, "needs_review"
    for name in NAMES:
        upload(admin, patient_id, name)
    pipeline.drain()
    return [row["id"] for row in admin.get("/api/reviews/worklist").json["data"]]


@pytest.fixture
def tumor(admin: FlaskClient, patient_id: int, pipeline: ScanPipeline) -> int:
    """A scan in which the model saw a tumour."""
    upload(admin, patient_id)
    pipeline.drain()
    return 1


def form_of(client: FlaskClient, scan: int) -> dict[str, str]:
    """The hidden field of the form on the scan's page."""
    fields = Outline(client.get(f"/portal/staff/scans/{scan}").text).all("input")
    [token] = [str(field["value"]) for field in fields if field.get("name") == "analysed_at"]
    return {"analysed_at": token}


def send(client: FlaskClient, scan: int, **fields: str) -> tuple[int, str, str]:
    """Status, where it leads, and the page of a form that was sent."""
    answer = client.post(f"/portal/staff/scans/{scan}/review", data={**form_of(client, scan), **fields})
    return answer.status_code, answer.headers.get("Location", ""), answer.text


def listed(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'href="/portal/staff/scans/(\d+)"', page)]


def test_the_worklist_leads_through_the_scans_oldest_first(
    reader: FlaskClient, undecided: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.portal.reviews.ROWS_ON_PAGE", 2)  # for a list of a size that a test can make
    page = reader.get(WORKLIST).text
    assert "3 scans wait for a radiologist" in page
    assert "Probability of a tumour: 50%" in page
    assert re.search(r'<span class="code">P[0-9A-F]{16,}</span>', page)
    assert all(image["src"] for image in Outline(page).all("img"))
    assert listed(page) == undecided[:2]
    later = re.search(r'href="(/portal/worklist\?after=\d+)" rel="next"', page)
    assert later is not None
    assert listed(reader.get(later[1]).text) == undecided[2:]
    assert "There is nothing later in the list." in reader.get(f"{WORKLIST}?after=99").text
    assert reader.get(f"{WORKLIST}?after=x").status_code == 404
    assert "3 Aufnahmen warten" in reader.get(WORKLIST, headers=GERMAN).text


def test_save_and_next_goes_through_the_worklist_until_it_is_empty(
    reader: FlaskClient, undecided: list[int]
) -> None:
    first, second, third = undecided
    assert send(reader, second, verdict="Tumor", then="next")[:2] == (303, f"/portal/staff/scans/{third}")
    assert send(reader, third, verdict="Unusable", then="next")[:2] == (303, f"/portal/staff/scans/{first}")
    assert send(reader, first, verdict="No Tumor", then="scan")[:2] == (303, f"/portal/staff/scans/{first}")
    assert send(reader, first, verdict="Tumor", comment="so, after all", then="next")[:2] == (303, WORKLIST)
    page = reader.get(WORKLIST).text
    assert "Nothing waits for a radiologist." in page
    assert listed(page) == []


def test_the_scans_page_shows_earlier_reviews_and_takes_another(
    admin: FlaskClient, reader: FlaskClient, tumor: int
) -> None:
    assert "No radiologist has judged this scan yet." in reader.get(f"/portal/staff/scans/{tumor}").text
    comment = "two <lines>\r\nof text"
    assert send(reader, tumor, verdict="No Tumor", comment=comment)[0] == 303
    assert send(admin, tumor, verdict="Tumor")[0] == 303
    page = admin.get(f"/portal/staff/scans/{tumor}").text
    assert page.index("agrees with the program") < page.index("does not agree with the program")
    assert "two &lt;lines&gt;\nof text" in page
    assert "reader" in page
    assert page.count(">counts<") == 1


@pytest.mark.parametrize(
    ("fields", "wrong", "words"),
    [
        ({}, "verdict", "Choose one of these."),
        ({"verdict": "Perhaps"}, "verdict", "Choose one of these."),
        ({"verdict": "No Tumor"}, "comment", "Say in a comment why"),
        ({"verdict": "No Tumor", "comment": "x" * (MAX_COMMENT + 1)}, "comment", "more than 1000 characters"),
        ({"verdict": "Tumor", "comment": "a\x07b"}, "comment", "characters that no text may have"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_that_was_typed_is_lost(
    reader: FlaskClient, tumor: int, fields: dict[str, str], wrong: str, words: str
) -> None:
    status, _, page = send(reader, tumor, **fields)
    assert status == 400
    outline = Outline(page)
    marked = [tag for _, tag in outline.tags if tag.get("aria-invalid")]
    assert {tag["name"] for tag in marked} == {wrong}
    said = re.search(rf'id="{wrong}-wrong">([^<]+)<', page)
    assert said is not None
    assert words in said[1]
    assert any(f"{wrong}-wrong" in str(tag.get("aria-describedby")) for _, tag in outline.tags)
    checked = [field["value"] for field in outline.all("input") if "checked" in field]
    assert checked == [verdict for verdict in (fields.get("verdict"),) if verdict in ("Tumor", "No Tumor")]
    assert len(re.findall(r"x{1001}", page)) == (len(fields.get("comment", "")) > MAX_COMMENT)
    assert outline.all("img"), "the pictures are there to look at once more"


def test_a_form_for_an_older_result_is_refused_with_the_new_result_beside_it(
    services: Services, reader: FlaskClient, tumor: int
) -> None:
    old = form_of(reader, tumor)
    with services.sessions.begin() as session:
        session.execute(update(Scan).values(analysed_at=func.now()))
    address = f"/portal/staff/scans/{tumor}/review"
    refused = reader.post(address, data={**old, "verdict": "Tumor", "comment": "typed"})
    assert refused.status_code == 409
    assert "This scan was analysed again meanwhile." in refused.text
    assert "typed" in refused.text
    assert reader.post(address, data={"verdict": "Tumor"}).status_code == 400
    german = reader.post(address, data={**old, "verdict": "Tumor"}, headers=GERMAN)
    assert "inzwischen noch einmal ausgewertet" in german.text
    assert send(reader, tumor, verdict="Tumor")[0] == 303, "with the form that came with it"


def test_a_scan_without_a_result_has_no_form(
    reader: FlaskClient, admin: FlaskClient, patient_id: int
) -> None:
    upload(admin, patient_id)
    page = reader.get("/portal/staff/scans/1").text
    assert 'name="verdict"' not in page
    assert reader.post("/portal/staff/scans/99/review", data={}).status_code == 404
