"""What is refused because there is too much of it, and that nothing is left of it."""

import time
from threading import Thread

import pytest
from flask.testing import FlaskClient

from shared.models import JobKind
from shared.services import Services
from tests.fakes import RecordingQueue, picture
from tests.integration.sending import (
    add,
    as_,
    new_batch,
    part,
    pictures,
    rows_of,
    send,
    send_one,
    stored,
    zipped,
)
from worker.pipeline import ScanPipeline


def test_new_work_is_refused_while_too_much_waits_and_nothing_of_it_is_kept(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline, queue: RecordingQueue
) -> None:
    batch_id = new_batch(admin)
    (done,) = send(admin, patient_id).json["job_ids"]
    pipeline.drain()
    (cancelled, *_) = send(admin, patient_id, *pictures(3)).json["job_ids"]
    admin.delete(f"/api/jobs/{cancelled}")
    queue.sent.clear()
    full = as_(admin, services, max_queued_jobs=2)
    before = rows_of(services), stored(services)
    archive = zipped(
        [("a.png", picture()), ("manifest.csv", f"filename,patient_id\na.png,{patient_id}".encode())]
    )
    key = {"Idempotency-Key": "k"}
    for answer in (
        send(full, patient_id, headers=key),
        send_one(full, patient_id),
        add(full, batch_id, patient_id),
        full.post(f"/api/batches/{batch_id}/scans", data={"archive": part("a.zip", archive)}),
        full.post("/api/batches", json={}),
        full.post("/api/report/generate", json={"patient_id": patient_id}),
        full.post(f"/api/jobs/{cancelled}/retry"),
    ):
        assert (answer.status_code, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1
    assert (rows_of(services), stored(services)) == before
    assert queue.sent == []
    assert full.get("/api/batches").json["data"][0]["id"] == batch_id, "no other batch was made"
    assert full.get(f"/api/jobs/{done}").status_code == 200, "what is there can be read"
    pipeline.drain()
    assert send(full, patient_id, headers=key).status_code == 202


def test_the_queue_takes_as_much_as_the_setting_says(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    limited = as_(admin, services, max_queued_jobs=2)
    assert [send(limited, patient_id).status_code for _ in range(3)] == [202, 202, 503]


def test_a_caller_who_asks_too_often_is_told_when_to_ask_again(
    admin: FlaskClient, reader: FlaskClient, services: Services
) -> None:
    limited = as_(admin, services, requests_per_minute=3)
    if time.time() % 60 > 55:
        time.sleep(60 - time.time() % 60)  # the count begins anew with each minute
    answers = [limited.get("/api/batches") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    refused = answers[-1]
    assert refused.json["code"] == "RATE_LIMITED"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    limited.environ_base = dict(reader.environ_base)
    assert limited.get("/api/batches").status_code == 200, "others are counted on their own"


def test_polling_one_job_counts_for_the_caller_and_not_for_all_behind_an_address(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    limited = as_(admin, services, requests_per_minute=6, anonymous_requests_per_minute=2)
    if time.time() % 60 > 55:
        time.sleep(60 - time.time() % 60)
    assert [limited.get(f"/api/jobs/{job_id}").status_code for _ in range(7)] == [200] * 6 + [429]
    limited.environ_base.pop("HTTP_AUTHORIZATION")
    assert [limited.get(f"/api/jobs/{job_id}").status_code for _ in range(3)] == [401, 401, 429]


def test_a_request_of_too_many_files_is_refused_whole(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    limited = as_(admin, services, max_files_per_upload=2)
    batch_id = new_batch(admin)
    for answer in (send(limited, patient_id, *pictures(3)), add(limited, batch_id, patient_id, *pictures(3))):
        assert (answer.status_code, answer.json["field"]) == (400, "files")
        assert "at most 2 files" in answer.json["error"]
    assert (rows_of(services), stored(services)) == ((0, 0), [])
    assert send(limited, patient_id, *pictures(2)).status_code == 202


def test_as_many_files_as_the_setting_allows_fit_into_one_request(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    files = [("a.png", picture()), *[("b.png", b"x")] * 1049]
    wide = as_(admin, services, max_files_per_upload=1050)
    answer = send(wide, patient_id, *files)
    assert answer.status_code == 202
    assert len(answer.json["results"]) == 1050


@pytest.mark.parametrize("url", ["/api/admin/scans/upload", "/api/scan/upload", "/api/batches/{0}/scans"])
def test_a_request_of_too_many_bytes_is_a_413(
    admin: FlaskClient, patient_id: int, services: Services, url: str
) -> None:
    limited = as_(admin, services, max_content_length=5_000)
    url = url.format(new_batch(admin))
    form = {"patient_id": str(patient_id), "files": part("a.png", bytes(6_000))}
    answer = limited.post(url, data=form)
    assert (answer.status_code, answer.json["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert stored(services) == []


def test_pictures_of_too_many_pixels_are_refused_before_they_are_decoded(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    limited = as_(admin, services, max_image_pixels=2_000, max_image_side=60)
    answer = send(
        limited,
        patient_id,
        ("fits.png", picture(200, (60, 30))),
        ("many.png", picture(200, (50, 50))),
        ("long.png", picture(200, (61, 8))),
    )
    assert [result["success"] for result in answer.json["results"]] == [True, False, False]
    assert "too many pixels" in answer.json["results"][2]["error"]


def test_a_stopped_broker_slows_no_upload_and_loses_nothing(
    admin: FlaskClient, patient_id: int, queue: RecordingQueue, pipeline: ScanPipeline
) -> None:
    queue.up = False
    answers = [send(admin, patient_id), add(admin, new_batch(admin), patient_id)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [sent for sent in queue.sent if sent[0] == JobKind.SCAN] == []
    assert pipeline.drain() == 2


def test_held_requests_leave_threads_to_others(
    admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline
) -> None:
    first, second = (send_one(admin, patient_id).json["job_ids"][0] for _ in range(2))
    client = as_(admin, services, max_waiting_requests=1)
    elsewhere = client.application.test_client(use_cookies=False)
    elsewhere.environ_base = dict(client.environ_base)
    held: list[str] = []

    def hold() -> None:
        held.append(elsewhere.get(f"/api/jobs/{first}?wait=20").json["data"]["status"])

    waiting = Thread(target=hold)
    waiting.start()
    time.sleep(0.5)
    began = time.monotonic()
    assert client.get(f"/api/jobs/{second}?wait=20").json["data"]["status"] == "queued"
    assert time.monotonic() - began < 5, "the second was held although the first holds the only slot"
    pipeline.drain()
    waiting.join()
    assert held in (["running"], ["succeeded"]), "it was held until the status changed"
    assert client.get(f"/api/jobs/{second}?wait=20").status_code == 200, "the slot is free again"
