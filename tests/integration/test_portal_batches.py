"""The staff's pages for batches: how far each is, what failed in it, and what admins do about that."""

import re
import uuid

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from shared.models import Job, JobStatus
from shared.services import Services
from tests.fakes import MadeUpModel, RecordingQueue
from tests.integration.portal import GERMAN
from tests.integration.sending import add, new_batch, pictures
from worker.pipeline import ScanPipeline

BATCHES = "/portal/batches"
RESULTS = re.compile(r'<li><span class="badge \w+">([^<]+)</span> <strong>(\d+)</strong></li>')


def shown(client: FlaskClient, batch_id: str) -> dict[str, int]:
    """The numbers on the page of the batch, and that what renews itself says the same."""
    page = client.get(f"{BATCHES}/{batch_id}")
    assert page.status_code == 200
    found = {name: int(number) for name, number in RESULTS.findall(page.text)}
    part = client.get(f"{BATCHES}/{batch_id}/progress").text
    assert {name: int(number) for name, number in RESULTS.findall(part)} == found
    assert part.strip().startswith('<div id="live"')
    return found


def with_failures(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel
) -> tuple[str, list[str]]:
    """A batch with one analysed scan and three that failed; its id, and the failed jobs'."""
    batch_id = new_batch(admin)
    add(admin, batch_id, patient_id)
    pipeline.drain()
    model.fails_on_batches_of = 1
    failed = add(admin, batch_id, patient_id, *pictures(3)).json["job_ids"]
    pipeline.drain()
    model.fails_on_batches_of = None
    return batch_id, failed


def test_the_list_says_of_each_how_far_it_is(
    admin: FlaskClient,
    reader: FlaskClient,
    patient_id: int,
    pipeline: ScanPipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "There are no batches yet." in reader.get(BATCHES).text
    monkeypatch.setattr("api.portal.staff_batches.BATCHES_ON_PAGE", 2)
    for name in ("done", "half", "empty"):
        batch_id = admin.post("/api/batches", json={"name": name}).json["batch_id"]
        if name != "empty":
            add(admin, batch_id, patient_id, *pictures(2))
            pipeline.drain()
    add(admin, batch_id, patient_id)
    page = reader.get(BATCHES).text
    names = re.compile(r'href="/portal/batches/[0-9a-f-]{36}">([^<]+)</a>')
    assert names.findall(page) == ["empty", "half"]
    assert re.findall(r'class="so-far">(\d of \d)', page) == ["0 of 1", "2 of 2"]
    assert 'data-every="5"' in page
    older = re.search(r'href="(/portal/batches\?before=[0-9a-f-]+)" rel="next"', page)
    assert older is not None
    last = reader.get(older[1]).text
    assert names.findall(last) == ["done"]
    assert "data-every" not in last
    for wrong in ("x", "1"):
        assert reader.get(f"{BATCHES}?before={wrong}").status_code == 404


def test_a_batch_names_what_failed_and_why_and_it_is_repeated(
    admin: FlaskClient,
    reader: FlaskClient,
    patient_id: int,
    pipeline: ScanPipeline,
    model: MadeUpModel,
    queue: RecordingQueue,
) -> None:
    batch_id, failed = with_failures(admin, patient_id, pipeline, model)
    page = f"{BATCHES}/{batch_id}"
    assert shown(reader, batch_id) == {"Tumour": 1, "Failed": 3}
    text = admin.get(page).text
    assert text.count("The model gave no usable answer") == 3
    assert "Das Modell" in admin.get(page, headers=GERMAN).text
    assert re.findall(r'action="/portal/batches/[^/]+/retry/([^"]+)"', text) == failed[::-1]
    assert "/retry" not in reader.get(page).text
    for _ in range(2):  # the second click changes nothing
        assert admin.post(f"{page}/retry/{failed[0]}").location == page
    assert shown(admin, batch_id) == {"Tumour": 1, "Failed": 2, "Waiting": 1}
    assert 'data-every="3"' in admin.get(page).text
    queue.sent.clear()
    assert admin.post(f"{page}/retry").location == page
    assert [sorted(map(str, ids)) for _, _, ids in queue.sent] == [sorted(failed[1:])]
    assert shown(admin, batch_id) == {"Tumour": 1, "Waiting": 3}
    assert pipeline.drain() == 3
    assert shown(admin, batch_id) == {"Tumour": 4}
    events = admin.get(f"/api/admin/audit?subject=batch:{batch_id}&action=batch.retried").json["data"]
    assert [event["details"] for event in events] == [{"jobs": 2}]
    assert admin.post(f"{page}/retry/{uuid.UUID(int=0)}").status_code == 404


def test_cancelling_is_confirmed_and_ends_what_is_left(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline
) -> None:
    batch_id = new_batch(admin)
    page = f"{BATCHES}/{batch_id}"
    add(admin, batch_id, patient_id)
    pipeline.drain()
    add(admin, batch_id, patient_id, *pictures(2))
    assert f'href="{page}/cancel"' in admin.get(page).text
    assert "2 scans are not analysed yet." in admin.get(f"{page}/cancel").text
    assert shown(admin, batch_id) == {"Tumour": 1, "Waiting": 2}, "asking changes nothing"
    assert admin.post(f"{page}/cancel").location == page
    assert shown(admin, batch_id) == {"Tumour": 1, "Cancelled": 2}
    assert f'href="{page}/cancel"' not in admin.get(page).text
    assert add(admin, batch_id, patient_id).status_code == 409


def test_its_scans_are_listed_in_pages_with_their_patients(
    admin: FlaskClient,
    reader: FlaskClient,
    services: Services,
    patient_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.portal.staff_batches.SCANS_ON_PAGE", 2)
    batch_id, other = new_batch(admin), new_batch(admin)
    add(admin, other, patient_id)
    add(admin, batch_id, patient_id, *pictures(3))
    with services.sessions.begin() as session:
        session.execute(update(Job).values(status=JobStatus.RUNNING))
    page = f"{BATCHES}/{batch_id}"
    names = re.compile(r'href="/portal/staff/scans/\d+">(\d\.png)</a>')
    newest = reader.get(page).text
    assert names.findall(newest) == ["2.png", "1.png"]
    assert newest.count(f'href="/portal/patients/{patient_id}"') == 2
    assert f'href="/api/batches/{batch_id}/results.csv"' in newest
    older = re.search(rf'href="({page}\?before=\d+)" rel="next"', newest)
    assert older is not None
    assert names.findall(reader.get(older[1]).text) == ["0.png"]
    assert names.findall(reader.get(f"{page}?before=1").text) == []
    for wrong in (uuid.UUID(int=0), "nonsense"):
        assert reader.get(f"{BATCHES}/{wrong}").status_code == 404
