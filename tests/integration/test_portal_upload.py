"""Uploading through the pages without scripts: whose scans, what became of each file, and nothing twice."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from api.portal import refusals
from shared.errors import FileTooLargeError
from shared.images import ImageLimits, read_grey
from shared.models import Patient, Scan
from shared.services import Services
from tests.fakes import FailingStore, picture
from tests.integration.portal import GERMAN
from tests.integration.sending import as_, part, rows_of, zipped
from worker.pipeline import ScanPipeline

UPLOAD = "/portal/upload"
STATES = re.compile(r'<span class="badge \w+">(Accepted|Not accepted)</span>')


def send(client: FlaskClient, headers: Any = None, **form: Any) -> TestResponse:
    return client.post(UPLOAD, data=form, headers=headers)


def display_id(services: Services, number: int) -> str:
    with services.sessions() as session:
        return session.scalars(select(Patient.patient_id).where(Patient.id == number)).one()


def test_whose_scans_they_are_is_asked_first(admin: FlaskClient, patient_id: int, services: Services) -> None:
    page = admin.get(UPLOAD).text
    assert 'name="archive"' in page
    assert 'name="files"' not in page
    choose = f"{UPLOAD}/patient"
    for words in (display_id(services, patient_id).lower(), "ada exam", "ada@example.org"):
        assert admin.post(choose, data={"search": words}).location == f"{UPLOAD}?patient={patient_id}"
    form = admin.get(f"{UPLOAD}?patient={patient_id}").text
    assert "Ada Example" in form
    assert f'name="patient_id" value="{patient_id}"' in form
    nobody = admin.post(choose, data={"search": "nobody"})
    assert (nobody.status_code, "No patient fits." in nobody.text) == (404, True)
    assert admin.post(choose, data={"search": ""}).status_code == 400
    admin.post("/api/admin/patients", json={"name": "Ada Second", "email": "second@example.org"})
    several = admin.post(choose, data={"search": "ada"}).text
    assert "Who is meant?" in several
    assert re.findall(r'href="/portal/upload\?patient=(\d+)"', several) == ["2", "1"]
    for wrong in ("x", "999", "-1"):
        assert admin.get(f"{UPLOAD}?patient={wrong}").status_code == 404


def test_each_file_is_told_what_became_of_it_and_a_reload_takes_none_twice(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    def form() -> dict[str, Any]:
        files = [part("good.png", picture()), part("<b>.png", b"no picture"), part("empty.png", b"")]
        return {"patient_id": str(patient_id), "once": "a key", "files": files}

    page = send(admin, **form())
    assert page.status_code == 200
    assert STATES.findall(page.text) == ["Not accepted", "Not accepted", "Accepted"], (
        "what needs a look first"
    )
    assert "neither a JPEG nor a PNG image" in page.text
    assert "&lt;b&gt;.png" in page.text
    with services.sessions() as session:
        scan = session.scalars(select(Scan)).one()
    link = re.search(r'href="(/portal/staff/scans\?number=[^"]+)"', page.text)
    assert link is not None
    assert admin.get(link[1]).location == f"/portal/staff/scans/{scan.id}"
    batch = re.search(r'href="(/portal/batches/[0-9a-f-]+)"', page.text)
    assert batch is not None
    pipeline.drain()
    assert "good.png" in admin.get(batch[1]).text
    assert STATES.findall(send(admin, **form()).text) == STATES.findall(page.text)
    assert rows_of(services) == (1, 1)
    other = send(admin, patient_id=str(patient_id), once="a key", files=[part("other.png", picture())])
    assert (other.status_code, "This page was used before." in other.text) == (409, True)


def test_what_cannot_be_taken_is_said_in_the_readers_language(
    admin: FlaskClient, patient_id: int, services: Services, images: FailingStore
) -> None:
    mine = {"patient_id": str(patient_id)}
    nothing = send(admin, GERMAN, **mine, files=[part("", b"")])
    assert (nothing.status_code, "Wählen Sie mindestens ein Bild aus." in nothing.text) == (400, True)
    bad = send(admin, GERMAN, **mine, files=[part("a.png", picture()[:80])])
    assert (bad.status_code, "kein vollständiges JPEG- oder PNG-Bild" in bad.text) == (400, True)
    few = as_(admin, services, max_files_per_upload=1)
    many = send(few, GERMAN, **mine, files=[part("a.png", picture()), part("b.png", picture())])
    assert (many.status_code, "Höchstens 1 Dateien auf einmal." in many.text) == (400, True)
    full = send(as_(admin, services, max_queued_jobs=1), GERMAN, **mine, files=[part("a.png", picture())])
    assert full.status_code == 200
    full = send(as_(admin, services, max_queued_jobs=1), GERMAN, **mine, files=[part("a.png", picture())])
    assert (full.status_code, full.headers["Retry-After"]) == (503, "60")
    assert "Es wartet schon zu viel Arbeit." in full.text
    images.broken = frozenset({"put"})
    down = send(admin, GERMAN, **mine, files=[part("a.png", picture())])
    assert (down.status_code, "Der Bildspeicher nimmt gerade nichts an." in down.text) == (503, True)
    assert send(admin, patient_id="999", files=[part("a.png", picture())]).status_code == 404
    assert send(admin, patient_id="x", files=[part("a.png", picture())]).status_code == 404


def test_a_zip_brings_pictures_of_many_patients_by_number_or_display_id(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    other = admin.post("/api/admin/patients", json={"name": "Ben", "email": "ben@example.org"}).json["data"]
    table = f"filename,patient_id\na.png,{patient_id}\nb.png,{other['patient_id'].lower()}\nc.png,P00\n"
    packed = zipped([(name, picture()) for name in ("a.png", "b.png", "c.png", "d.png")])
    assert "needs a manifest.csv" in send(admin, archive=part("all.zip", packed)).text
    page = send(admin, archive=part("all.zip", packed), manifest=part("table.csv", table.encode()))
    assert STATES.findall(page.text) == ["Not accepted"] * 2 + ["Accepted"] * 2
    with services.sessions() as session:
        owners = session.execute(select(Scan.original_filename, Scan.patient_id).order_by(Scan.id)).all()
    assert [tuple(row) for row in owners] == [("a.png", patient_id), ("b.png", other["id"])]
    damaged = send(admin, GERMAN, archive=part("all.zip", b"PK no zip"))
    assert (damaged.status_code, "Das ist keine ZIP-Datei." in damaged.text) == (400, True)
    doubled = table + "a.png,1\n"
    wrong = send(admin, GERMAN, archive=part("a.zip", packed), manifest=part("t.csv", doubled.encode()))
    assert "Zeile 5 der Tabelle nennt keine Datei" in wrong.text
    assert "Wählen Sie eine ZIP-Datei aus." in send(admin, GERMAN, archive=part("", b"")).text


def test_the_sentence_about_pixels_is_the_one_that_is_said(admin: FlaskClient) -> None:
    with pytest.raises(FileTooLargeError) as refused:
        read_grey(picture(), ImageLimits(max_pixels=100, max_side=50))
    with admin.application.test_request_context(headers=GERMAN):
        assert refusals.translated(str(refused.value)).startswith("Das Bild hat zu viele Pixel.")
        assert "100" in refusals.translated(str(refused.value))
        assert refusals.translated("archive: something new.") == "Something new."
