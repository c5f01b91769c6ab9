"""Reading jobs: one that is watched, many at once, and lists in pages."""

import re
import threading
import time
import uuid
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from shared import jobs
from shared.models import Job, JobKind
from shared.services import Services
from tests.fakes import MadeUpModel
from tests.integration.sending import as_, new_patient, pictures, send, send_one
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

UNKNOWN = "00000000-0000-4000-8000-000000000000"
JOB_KEYS = {
    "id",
    "kind",
    "status",
    "stage",
    "attempt",
    "progress",
    "created_at",
    "started_at",
    "finished_at",
    "result",
    "error",
}


def pages_of(client: FlaskClient, url: str) -> list[list[dict[str, object]]]:
    """Follow the `Link` headers to the end."""
    pages = []
    while True:
        answer = client.get(url)
        assert answer.status_code == 200, answer.json
        pages.append(answer.json["data"])
        link = answer.headers.get("Link")
        if link is None:
            return pages
        match = re.fullmatch(r'<([^>]+)>; rel="next"', link)
        assert match, link
        url = match.group(1)
        assert len(pages) < 100


def test_a_job_tells_how_it_stands_from_beginning_to_end(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    job_id = send(admin, patient_id).json["job_ids"][0]
    queued = admin.get(f"/api/jobs/{job_id}")
    body = queued.json["data"]
    assert set(body) >= JOB_KEYS
    assert (body["kind"], body["status"], body["attempt"], body["result"]) == ("scan", "queued", 0, None)
    assert (body["started_at"], body["finished_at"], body["error"]) == (None, None, None)
    assert int(queued.headers["Retry-After"]) >= 1
    with services.sessions.begin() as session:
        (claim,) = jobs.claim(session, JobKind.SCAN, "a worker", 1, lease_seconds=60)
    running = admin.get(f"/api/jobs/{job_id}")
    assert (running.json["data"]["status"], running.json["data"]["attempt"]) == ("running", 1)
    assert "queue_position" not in running.json["data"]
    assert running.headers["Retry-After"]
    with services.sessions.begin() as session:
        jobs.give_up_crashed(session, [claim], max_attempts=4, retry_seconds=0)
    assert pipeline.drain() == 1
    ended = admin.get(f"/api/jobs/{job_id}")
    body = ended.json["data"]
    assert (body["status"], body["attempt"], body["progress"]) == ("succeeded", 2, 1.0)
    assert body["created_at"] < body["started_at"] < body["finished_at"]
    assert "Retry-After" not in ended.headers
    for link in body["result"]["links"].values():
        assert admin.get(link).status_code == 302
    assert len({answer.headers["ETag"] for answer in (queued, running, ended)}) == 3
    again = admin.get(f"/api/jobs/{job_id}", headers={"If-None-Match": ended.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_failed_job_tells_why(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel
) -> None:
    model.fails_on_batches_of = 1
    job_id = send(admin, patient_id).json["job_ids"][0]
    pipeline.drain()
    body = admin.get(f"/api/jobs/{job_id}").json["data"]
    assert (body["status"], body["result"]) == ("failed", None)
    assert body["error"] == {
        "code": "MODEL_PREDICTION_ERROR",
        "message": "The model could not analyse this image.",
    }


def test_a_watched_job_is_answered_as_soon_as_its_status_changes(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline
) -> None:
    job_id = send(admin, patient_id).json["job_ids"][0]
    worker = threading.Timer(0.4, pipeline.drain)
    worker.start()
    began = time.monotonic()
    answer = admin.get(f"/api/jobs/{job_id}?wait=20")
    waited = time.monotonic() - began
    worker.join()
    assert answer.json["data"]["status"] in ("running", "succeeded")
    assert 0.3 < waited < 5
    ended = admin.get(f"/api/jobs/{job_id}?wait=20")
    assert ended.json["data"]["status"] == "succeeded"
    assert time.monotonic() - began < 6, "a finished job is not waited for"


@pytest.mark.parametrize("wait", ["nonsense", "-1", "nan", "inf", "", "0"])
def test_a_wait_that_is_no_time_is_none(admin: FlaskClient, patient_id: int, wait: str) -> None:
    job_id = send(admin, patient_id).json["job_ids"][0]
    began = time.monotonic()
    assert admin.get(f"/api/jobs/{job_id}?wait={wait}").status_code == 200
    assert time.monotonic() - began < 2


def test_a_watch_is_capped(admin: FlaskClient, patient_id: int, services: Services) -> None:
    job_id = send(admin, patient_id).json["job_ids"][0]
    began = time.monotonic()
    impatient = as_(admin, services, max_wait_seconds=0.2)
    answer = impatient.get(f"/api/jobs/{job_id}?wait=500")
    assert answer.json["data"]["status"] == "queued"
    assert 0.2 <= time.monotonic() - began < 2
    answer = impatient.post("/api/jobs/status?wait=500", json={"ids": [job_id]})
    assert [job["status"] for job in answer.json["data"]] == ["queued"]
    assert 0.4 <= time.monotonic() - began < 4


@pytest.mark.parametrize("job_id", [UNKNOWN, "nonsense", "1", "%00", "x" * 500])
def test_an_unknown_job_is_a_404_and_never_pending(admin: FlaskClient, job_id: str) -> None:
    for answer in (
        admin.get(f"/api/jobs/{job_id}"),
        admin.get(f"/api/jobs/{job_id}?wait=5"),
        admin.delete(f"/api/jobs/{job_id}"),
        admin.post(f"/api/jobs/{job_id}/retry"),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "NOT_FOUND_ERROR")


def test_the_place_in_the_queue_counts_those_before(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    job_ids = send(admin, patient_id, *pictures(3)).json["job_ids"]
    places = [admin.get(f"/api/jobs/{job_id}").json["data"]["queue_position"] for job_id in job_ids]
    assert places == [1, 2, 3]
    assert "eta_seconds" not in admin.get(f"/api/jobs/{job_ids[0]}").json["data"], "no pace is known yet"
    pipeline.drain()
    with services.sessions.begin() as session:  # three in the last ten seconds
        session.execute(update(Job).values(finished_at=Job.finished_at - timedelta(seconds=10)))
    later = send(admin, patient_id, *pictures(6)).json["job_ids"]
    etas = [admin.get(f"/api/jobs/{job_id}").json["data"]["eta_seconds"] for job_id in later]
    assert etas == sorted(etas)
    assert 3 <= etas[0] <= 5
    assert 19 <= etas[5] <= 23


def test_many_jobs_are_read_at_once_in_the_order_asked_for(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    job_ids = send(admin, patient_id, *pictures(4)).json["job_ids"]
    wanted = [job_ids[2], UNKNOWN, job_ids[0], job_ids[2], job_ids[3].upper(), "nonsense"]
    answer = admin.post("/api/jobs/status", json={"ids": wanted})
    assert [job["id"] for job in answer.json["data"]] == [job_ids[2], job_ids[0], job_ids[3]]
    assert answer.json["not_found"] == [UNKNOWN, "nonsense"]
    _, patient = new_patient(services)
    own = send_one(patient).json["job_ids"][0]
    answer = patient.post("/api/jobs/status", json={"ids": [job_ids[0], own]})
    assert ([job["id"] for job in answer.json["data"]], answer.json["not_found"]) == ([own], [job_ids[0]])


def test_many_watched_jobs_are_answered_as_soon_as_one_changes(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    ids = send(admin, patient_id, *pictures(3)).json["job_ids"]
    _, stranger = new_patient(services)
    worker = threading.Timer(0.4, pipeline.drain)
    worker.start()
    began = time.monotonic()
    changed = admin.post("/api/jobs/status?wait=20", json={"ids": [*ids, UNKNOWN]}).json
    waited = time.monotonic() - began
    foreign = stranger.post("/api/jobs/status?wait=20", json={"ids": ids}).json
    worker.join()
    assert {job["status"] for job in changed["data"]} & {"running", "succeeded"}
    assert ([job["id"] for job in changed["data"]], changed["not_found"]) == (ids, [UNKNOWN])
    assert 0.3 < waited < 5
    assert (foreign["data"], foreign["not_found"]) == ([], ids)
    send(admin, patient_id)
    waiting = admin.get("/api/jobs?status=queued").json["data"][0]["id"]
    ended = admin.post("/api/jobs/status?wait=20", json={"ids": [waiting, *ids]}).json["data"]
    assert [job["status"] for job in ended] == ["queued", *["succeeded"] * 3]
    assert time.monotonic() - began < 8, "nobody waits for others' jobs, nor beside one that has ended"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"ids": [str(uuid.UUID(int=n)) for n in range(500)]}, 200),
        ({"ids": [str(uuid.UUID(int=n)) for n in range(501)]}, 400),
        ({"ids": []}, 200),
        ({"ids": "all"}, 400),
        ({"ids": [1]}, 400),
        ({}, 400),
    ],
)
def test_many_jobs_are_at_most_five_hundred(admin: FlaskClient, body: dict[str, object], status: int) -> None:
    answer = admin.post("/api/jobs/status", json=body)
    assert answer.status_code == status
    if status == 200:
        assert answer.json["not_found"] == body["ids"]
    else:
        assert answer.json["field"] == "ids"


def test_the_list_is_filtered_by_each_property(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    pipeline: ScanPipeline,
    renderer: ReportRenderer,
) -> None:
    first = send(admin, patient_id, *pictures(2), generate_report="1").json
    pipeline.drain()
    renderer.drain()
    other, patient = new_patient(services)
    second = send_one(patient).json

    def listed(query: str) -> list[str]:
        return [job["id"] for job in admin.get(f"/api/jobs?{query}").json["data"]]

    report = first["report_job_id"]
    assert listed("") == [*second["job_ids"], report, *reversed(first["job_ids"])]
    assert listed("status=queued") == second["job_ids"]
    assert listed("status=succeeded&kind=scan") == first["job_ids"][::-1]
    assert listed("kind=report") == [report]
    assert listed(f"patient_id={other}") == second["job_ids"]
    assert listed(f"patient_id={patient_id}") == [report, *reversed(first["job_ids"])]
    assert listed(f"batch_id={first['batch_id']}") == first["job_ids"][::-1]
    assert listed(f"batch_id={first['batch_id']}&status=failed") == []
    for nobody in ("batch_id=nonsense", f"batch_id={UNKNOWN}", "patient_id=999", "kind=mail"):
        assert listed(nobody) == []
    for wrong in ("status=x", "kind=x", "limit=0", "limit=x", "cursor=x", "patient_id=x", "limit=1001"):
        assert admin.get(f"/api/jobs?{wrong}").status_code == 400, wrong
    assert patient.get("/api/jobs").status_code == 403


def test_pages_cover_every_job_exactly_once_whatever_comes_meanwhile(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    send(admin, patient_id, *pictures(7))
    with services.sessions() as session:
        expected = [str(job_id) for job_id in session.scalars(select(Job.id).order_by(Job.position.desc()))]
    url = "/api/jobs?limit=3&kind=scan&status=queued"
    first = admin.get(url)
    link = first.headers["Link"]
    assert (
        dict(parse_qsl(urlsplit(link[1 : link.index(">")]).query)).items()
        >= {
            "limit": "3",
            "kind": "scan",
            "status": "queued",
        }.items()
    )
    send(admin, patient_id)  # newer than the first page: not in those after it
    rest = pages_of(admin, link[1 : link.index(">")])
    ids = [job["id"] for page in [first.json["data"], *rest] for job in page]
    assert ids == expected


@pytest.mark.parametrize("size", [1, 2, 4, 5, 1000])
def test_pages_of_scans_and_patients_cover_everything_exactly_once(
    admin: FlaskClient, patient_id: int, services: Services, size: int
) -> None:
    send(admin, patient_id, *pictures(4))
    new_patient(services)
    new_patient(services, "Third Person")
    for url in (
        "/api/admin/scans",
        f"/api/admin/patients/{patient_id}/scans",
        f"/api/patient/{patient_id}/scans",
        "/api/admin/patients",
    ):
        whole = admin.get(url)
        assert "Link" not in whole.headers
        pages = pages_of(admin, f"{url}?limit={size}")
        assert [row for page in pages for row in page] == whole.json["data"]
        assert max(len(page) for page in pages) <= size
        ids = [row["id"] for row in whole.json["data"]]
        assert ids == sorted(ids, reverse=True), "newest first"
