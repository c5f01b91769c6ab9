"""The staff's pages for patients: finding, making, changing, and passwords that are shown once."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from shared.models import AuditEvent, Patient
from shared.services import Services
from tests.integration.portal import GERMAN, Outline, upload
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

PATIENTS = "/portal/patients"
NEW = f"{PATIENTS}/new"
FACTS = {"name": "Nora Øster_berg", "email": "nora@example.org", "once": "a key of this form"}
PASSWORD = re.compile(r'<code id="password">([^<]+)</code>')
SEEN = re.compile(r'name="seen" value="([^"]+)"')
NAMES = re.compile(r'<a class="cut" href="/portal/patients/\d+">([^<]+)</a>')


def add(admin: FlaskClient, *names: str) -> list[dict[str, str]]:
    facts = [{"name": name, "email": f"p{n}@example.org"} for n, name in enumerate(names)]
    return [admin.post("/api/admin/patients", json=one).json["data"] for one in facts]


def search(client: FlaskClient, words: str) -> list[str]:
    """The names that the search finds, newest first."""
    answer = client.post(f"{PATIENTS}/search", data={"search": words})
    assert answer.status_code == 303
    for word in words.split():
        assert word.casefold() not in answer.location.casefold(), "addresses are kept by browsers and proxies"
    return NAMES.findall(client.get(answer.location).text)


def wrong_fields(page: TestResponse) -> set[str | None]:
    outline = Outline(page.text)
    fields = [*outline.all("input"), *outline.all("select"), *outline.all("textarea")]
    return {field.get("name") for field in fields if field.get("aria-invalid") == "true"}


def patients_of(services: Services) -> list[Patient]:
    with services.sessions() as session:
        return list(session.scalars(select(Patient).order_by(Patient.id)))


def test_the_list_is_in_pages_with_the_number_of_scans(
    admin: FlaskClient, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "There are no patients yet." in reader.get(PATIENTS).text
    monkeypatch.setattr("api.portal.staff_patients.PATIENTS_ON_PAGE", 2)
    made = add(admin, "Ada", "Ben", "Cem")
    upload(admin, int(made[2]["id"]))
    upload(admin, int(made[2]["id"]))
    newest = reader.get(PATIENTS).text
    assert NAMES.findall(newest) == ["Cem", "Ben"]
    assert re.findall(r'class="number">(\d+)</td>', newest) == ["2", "0"]
    assert "New patient" not in newest, "readers make none"
    older = re.search(r'href="(/portal/patients\?before=\d+)" rel="next"', newest)
    assert older is not None
    assert NAMES.findall(reader.get(older[1]).text) == ["Ada"]
    assert "There are no older ones." in reader.get(f"{PATIENTS}?before=1").text


def test_patients_are_found_by_parts_of_what_is_known(admin: FlaskClient, reader: FlaskClient) -> None:
    made = add(admin, "Nora Österberg", "Nora Lind", "100% Sure", "Under_score", "Underscore")
    assert search(reader, "nora") == ["Nora Lind", "Nora Österberg"]
    assert search(reader, " BERG  nOra ") == ["Nora Österberg"]
    assert search(reader, "österb") == search(reader, "ÖSTERB") == ["Nora Österberg"]
    assert search(reader, "P2@EXAMPLE") == ["100% Sure"]
    assert search(reader, made[1]["username"]) == ["Nora Lind"]
    assert search(reader, made[0]["patient_id"][3:12].lower()) == ["Nora Österberg"]
    assert search(reader, "0%") == ["100% Sure"]
    assert search(reader, "r_s") == ["Under_score"]
    assert search(reader, "\\") == search(reader, "'; DROP") == []
    known = reader.post(f"{PATIENTS}/search", data={"search": f" {made[1]['patient_id'].lower()} "})
    assert known.location == f"/portal/patients/{made[1]['id']}"
    assert reader.post(f"{PATIENTS}/search", data={"search": " "}).location == PATIENTS
    assert wrong_fields(reader.post(f"{PATIENTS}/search", data={"search": "x" * 101})) == {"search"}


def test_a_search_leaves_no_trace_of_its_words(
    admin: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.portal.staff_patients.PATIENTS_ON_PAGE", 1)
    add(admin, "Nora One", "Nora Two")
    results = admin.post(f"{PATIENTS}/search", data={"search": "Nora"}).location
    first = admin.get(results).text
    assert "What fits “Nora”" in first
    assert "Nora" not in re.findall("<title>(.+)</title>", first)[0], "histories keep titles, too"
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older is not None
    assert NAMES.findall(admin.get(older[1].replace("&amp;", "&")).text) == ["Nora One"]
    with services.sessions() as session:
        events = session.execute(select(AuditEvent.action, AuditEvent.subject, AuditEvent.details)).all()
    assert ("patient.listed", "patients", {"rows": 1, "is_search": True}) in [
        tuple(event) for event in events
    ]
    assert "nora" not in str(events).casefold()
    assert NAMES.findall(admin.get(f"{PATIENTS}?found=nonsense").text) == ["Nora Two"], "as without a search"


def test_each_field_says_what_is_wrong_with_it(admin: FlaskClient, services: Services) -> None:
    assert wrong_fields(admin.post(NEW, data={})) == {"name", "email"}
    bad = {
        "name": "x" * 201,
        "email": "nobody",
        "age": "1.5",
        "gender": "x",
        "phone": "12",
        "address": "x" * 1001,
    }
    page = admin.post(NEW, data=bad, headers=GERMAN)
    assert page.status_code == 400
    assert wrong_fields(page) == set(bad)
    assert "Das ist keine E-Mail-Adresse." in page.text
    assert 'value="nobody"' in page.text, "what was typed stays"
    assert "<title>Fehler:" in page.text
    assert patients_of(services) == []


def test_a_new_patients_password_is_shown_once_and_a_reload_makes_no_second(
    admin: FlaskClient, services: Services
) -> None:
    once = [field for field in Outline(admin.get(NEW).text).all("input") if field.get("name") == "once"]
    assert len(once[0]["value"] or "") > 15
    form = {**FACTS, "age": "", "address": "Street 1\r\nTown", "gender": "Female"}
    page = admin.post(NEW, data=form)
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    password = PASSWORD.findall(page.text)
    assert len(password) == 1
    assert "No mail is sent." in page.text
    [patient] = patients_of(services)
    assert (patient.name, patient.address, patient.age) == ("Nora Øster_berg", "Street 1\nTown", None)
    signed_in = {"username": patient.username, "password": password[0]}
    assert admin.post("/api/patient/login", json=signed_in).status_code == 200
    again = admin.post(NEW, data=form)
    assert again.location == f"/portal/patients/{patient.id}?again=1"
    told = admin.get(again.location).text
    assert "nothing is done twice" in told
    assert password[0] not in told
    other = admin.post(NEW, data={**form, "email": "other@example.org"})
    assert other.status_code == 409
    assert "This form was sent before" in other.text
    assert len(patients_of(services)) == 1


def test_an_address_that_is_taken_is_named_at_its_field(admin: FlaskClient) -> None:
    [made] = add(admin, "Ada")
    page = admin.post(NEW, data={**FACTS, "email": made["email"]})
    assert page.status_code == 409
    assert wrong_fields(page) == {"email"}
    admin.post(NEW, data=FACTS)
    edited = admin.post(f"{PATIENTS}/{made['id']}/edit", data={"name": "Ada", "email": FACTS["email"]})
    assert edited.status_code == 409
    assert wrong_fields(edited) == {"email"}


def test_facts_are_changed_by_admins(admin: FlaskClient, reader: FlaskClient, services: Services) -> None:
    [made] = add(admin, "Ada")
    edit = f"{PATIENTS}/{made['id']}/edit"
    assert f'value="{made["email"]}"' in admin.get(edit).text
    assert wrong_fields(admin.post(edit, data={"name": " ", "email": made["email"]})) == {"name"}
    saved = admin.post(edit, data={"name": "Ada Lovelace", "email": made["email"], "age": "36"})
    assert saved.location == f"{PATIENTS}/{made['id']}?saved=1"
    assert "The facts are saved." in admin.get(saved.location).text
    assert [(one.name, one.age) for one in patients_of(services)] == [("Ada Lovelace", 36)]
    assert edit not in reader.get(f"{PATIENTS}/{made['id']}").text


def test_what_somebody_else_changed_meanwhile_is_shown_and_not_lost(
    admin: FlaskClient, services: Services
) -> None:
    [made] = add(admin, "Ada")
    edit = f"{PATIENTS}/{made['id']}/edit"
    [seen] = SEEN.findall(admin.get(edit).text)
    facts = {"name": "Ada", "email": made["email"], "address": "Street 1\r\nTown"}
    theirs = {**facts, "seen": seen, "phone": "+49 30 1234567", "gender": "Female"}
    assert admin.post(edit, data=theirs).status_code == 303
    assert admin.post(edit, data=theirs).status_code == 303, "a second click is no other person"
    assert "<dd>female</dd>" in admin.get(f"{PATIENTS}/{made['id']}").text
    ours = {**facts, "seen": seen, "phone": "+49 40 7654321"}
    bad = admin.post(edit, data={**ours, "name": " "})
    assert (bad.status_code, SEEN.findall(bad.text)) == (400, [seen]), "a mistake does not make us see theirs"
    refused = admin.post(edit, data=ours)
    assert refused.status_code == 409
    assert "Somebody else has changed these facts" in refused.text
    assert "Stored now: +49 30 1234567" in refused.text
    assert "Stored now: female" in refused.text
    assert wrong_fields(refused) == {"phone", "gender"}
    assert 'value="+49 40 7654321"' in refused.text, "what was typed is not lost either"
    assert [(one.phone, one.gender) for one in patients_of(services)] == [("+49 30 1234567", "Female")]
    [now] = SEEN.findall(refused.text)
    assert admin.post(edit, data={**ours, "seen": now}).status_code == 303
    assert [(one.phone, one.gender) for one in patients_of(services)] == [("+49 40 7654321", None)]


def test_a_new_password_is_made_once(admin: FlaskClient) -> None:
    [made] = add(admin, "Ada")
    reset = f"{PATIENTS}/{made['id']}/reset-password"
    assert "The old password stops working at once" in admin.get(reset).text
    page = admin.post(reset, data={"once": "a key"})
    [password] = PASSWORD.findall(page.text)
    assert admin.post(reset, data={"once": "a key"}).location == f"{PATIENTS}/{made['id']}?again=1"
    for text, status in ((made["password"], 401), (password, 200)):
        login = admin.post("/api/patient/login", json={"username": made["username"], "password": text})
        assert login.status_code == status
    assert admin.post(f"{PATIENTS}/999/reset-password", data={}).status_code == 404


def test_one_patient_shows_scans_and_reports(
    admin: FlaskClient, reader: FlaskClient, pipeline: ScanPipeline, renderer: ReportRenderer
) -> None:
    [made] = add(admin, "Ada <b>")
    page = f"{PATIENTS}/{made['id']}"
    empty = reader.get(page).text
    assert "There are no scans of this patient yet." in empty
    assert "Ada &lt;b&gt;" in empty
    assert "Ada" not in re.findall("<title>(.+)</title>", empty)[0]
    upload(admin, int(made["id"]), "a.png")
    assert re.search(r'data-jobs="[0-9a-f-]{36}=queued"', reader.get(page).text)
    pipeline.drain()
    admin.post("/api/report/generate", json={"patient_id": made["id"]})
    renderer.drain()
    shown = admin.get(page).text
    assert 'href="/portal/staff/scans/1"' in shown
    assert re.search(r'href="/portal/staff/reports/R[0-9A-F]+"', shown)
    assert f'href="/portal/upload?patient={made["id"]}"' in shown
    asked = admin.post("/portal/staff/reports", data={"whole_of": made["id"], "once": "a key"})
    assert asked.location.startswith("/portal/staff/reports/R")
    assert reader.get(f"{PATIENTS}/999").status_code == 404
