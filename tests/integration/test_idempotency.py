"""`Idempotency-Key`: the same request again gets the same answer and makes no more work."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from shared.models import Batch, IdempotencyKey, Job, JobEvent, JobKind, LoginFailure
from shared.services import Services
from shared.storage import LocalStore
from shared.sweep import sweep
from tests.fakes import FailingStore, MadeUpModel, RecordingQueue, picture
from tests.integration.conftest import ADMIN_PASSWORD, SECRET, bearer
from tests.integration.sending import (
    add,
    as_,
    at_once,
    new_batch,
    new_patient,
    part,
    pictures,
    rows_of,
    send,
    send_one,
    stored,
    zipped,
)
from worker.pipeline import ScanPipeline

KEY = {"Idempotency-Key": "the key of the tests"}


def ids_of(answer: TestResponse) -> tuple[Any, ...]:
    body = answer.json
    return body["batch_id"], body["job_ids"], body["scan_ids"], body.get("report_job_id")


def count(services: Services, table: type) -> int:
    with services.sessions() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


def test_the_same_upload_again_gets_the_same_answer_and_makes_no_more_work(
    admin: FlaskClient, patient_id: int, services: Services, queue: RecordingQueue
) -> None:
    files = [("a.png", picture()), ("bad.png", b"x")]
    first = send(admin, patient_id, *files, headers=KEY, generate_report="1")
    second = send(admin, patient_id, *files, headers=KEY, generate_report="1")
    assert (second.status_code, second.data) == (first.status_code, first.data)
    assert second.headers["Location"] == first.headers["Location"]
    assert (rows_of(services), len(stored(services))) == ((1, 1), 1)
    assert len(queue.sent) == 2, "once for the scan, once for its report"
    without = send(admin, patient_id, *files)
    assert ids_of(without) != ids_of(first)


def test_how_the_body_is_encoded_does_not_matter(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    first = send(admin, patient_id, headers=KEY)
    for boundary in ("one-boundary", "another-boundary"):
        form = {"patient_id": str(patient_id), "files": FileStorage(part("a.png", picture())[0], "a.png")}
        _, body = encode_multipart(form, boundary)
        content_type = f'multipart/form-data; boundary="{boundary}"'
        again = admin.post("/api/admin/scans/upload", data=body, content_type=content_type, headers=KEY)
        assert again.data == first.data
    assert rows_of(services) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"files": [("a.png", picture(9))]},
        {"files": [("b.png", picture())]},
        {"files": [("a.png", picture()), ("a.png", picture())]},
        {"generate_report": "true"},
        {"patient": "other"},
    ],
)
def test_another_request_with_the_same_key_is_a_conflict(
    admin: FlaskClient, patient_id: int, services: Services, other: dict[str, Any]
) -> None:
    assert send(admin, patient_id, ("a.png", picture()), headers=KEY).status_code == 202
    patient = new_patient(services)[0] if other.pop("patient", None) else patient_id
    files = other.pop("files", [("a.png", picture())])
    answer = send(admin, patient, *files, headers=KEY, **other)
    assert (answer.status_code, answer.json["code"]) == (409, "CONFLICT_ERROR")
    assert (rows_of(services), len(stored(services))) == ((1, 1), 1)


def test_the_same_files_for_another_batch_are_another_request(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    first, second = (add(admin, new_batch(admin), patient_id, **KEY) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 409)
    assert rows_of(services) == (1, 1)


def test_callers_do_not_share_keys(admin: FlaskClient, services: Services) -> None:
    own, patient = new_patient(services)
    first, second = (send_one(client, own, headers=KEY) for client in (admin, patient))
    assert (first.status_code, second.status_code) == (202, 202)
    assert ids_of(first) != ids_of(second)
    assert rows_of(services) == (2, 2)
    assert ids_of(send_one(patient, own, headers=KEY)) == ids_of(second)
    assert ids_of(send_one(patient, headers=KEY)) == ids_of(second), "own number, said or not"
    again = bearer(services, "/api/admin/login", "admin", ADMIN_PASSWORD)
    assert ids_of(send_one(again, own, headers=KEY)) == ids_of(first), "another login of the same person"


def test_equal_requests_at_the_same_moment_make_one_set_of_jobs_and_leave_no_orphans(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    for round_ in range(3):
        clients = [as_(admin, services) for _ in range(4)]
        key = {"Idempotency-Key": f"round {round_}"}
        answers = at_once(
            [partial(send, client, patient_id, *pictures(3), headers=key) for client in clients]
        )
        assert [answer.status_code for answer in answers] == [202] * 4
        assert len({answer.data for answer in answers}) == 1
        number = 3 * (round_ + 1)
        assert rows_of(services) == (number, number)
        assert len(stored(services)) == number
    assert count(services, Batch) == 3


def test_a_twin_leaves_no_orphan_in_the_staging_store_either(
    admin: FlaskClient, patient_id: int, services: Services, tmp_path: Path
) -> None:
    staging = LocalStore(tmp_path / "staging", "staging", SECRET, 60)
    clients = [as_(admin, replace(services, staging=staging)) for _ in range(4)]
    answers = at_once([partial(send, client, patient_id, headers=KEY) for client in clients])
    assert len({answer.data for answer in answers}) == 1
    (kept,) = [path.name for path in (tmp_path / "staging").rglob("*") if path.is_file()]
    assert kept == f"{answers[0].json['scan_ids'][0]}.png"
    assert stored(services) == []


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_key_that_is_none_is_refused(
    admin: FlaskClient, patient_id: int, services: Services, key: str
) -> None:
    answer = send(admin, patient_id, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json["field"]) == (400, "Idempotency-Key")
    assert (rows_of(services), stored(services)) == ((0, 0), [])


def test_the_longest_key_counts_whole(admin: FlaskClient, patient_id: int, services: Services) -> None:
    for last in "abab":
        answer = send(admin, patient_id, headers={"Idempotency-Key": "x" * 254 + last})
        assert answer.status_code == 202
    assert rows_of(services) == (2, 2)


def test_a_request_that_failed_is_not_remembered(
    admin: FlaskClient, patient_id: int, services: Services, images: FailingStore
) -> None:
    assert send(admin, patient_id, ("a.png", b"x"), headers=KEY).status_code == 400
    assert send(admin, 999, headers=KEY).status_code == 404
    images.failures = 1
    assert send(admin, patient_id, headers=KEY).status_code == 503
    full = as_(admin, services, max_queued_jobs=1)
    send(admin, patient_id)
    assert send(full, patient_id, headers=KEY).status_code == 503
    assert send(admin, patient_id, headers=KEY).status_code == 202
    assert send(full, patient_id, headers=KEY).status_code == 202, (
        "what is done is told also while it is full"
    )


def test_a_repeat_may_wait_for_what_the_first_request_began(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline
) -> None:
    first = send(admin, patient_id, headers=KEY)
    pipeline.drain()
    second = send(admin, patient_id, headers={**KEY, "Prefer": "wait=5"})
    assert (second.status_code, ids_of(second)) == (200, ids_of(first))
    assert second.json["results"][0]["prediction"] == "Tumor"


def retry_of_failed(admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel) -> str:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    model.fails_on_batches_of = 1
    pipeline.drain()
    return f"/api/jobs/{job_id}/retry"


def test_every_other_post_that_makes_work_keeps_to_its_key_also_at_the_same_moment(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    pipeline: ScanPipeline,
    model: MadeUpModel,
) -> None:
    send(admin, patient_id)
    pipeline.drain()
    batch_id = new_batch(admin)
    retry = retry_of_failed(admin, patient_id, pipeline, model)
    archive = zipped(
        [("a.png", picture()), ("manifest.csv", f"filename,patient_id\na.png,{patient_id}".encode())]
    )

    def zip_into_batch(client: FlaskClient) -> TestResponse:
        form = {"archive": part("scans.zip", archive)}
        headers = {"Idempotency-Key": "a zip"}
        return client.post(f"/api/batches/{batch_id}/scans", data=form, headers=headers)

    requests: dict[str, tuple[Callable[[FlaskClient], TestResponse], str]] = {
        "report": (
            lambda client: client.post("/api/report/generate", json={"patient_id": patient_id}, headers=KEY),
            "job_id",
        ),
        "batch": (
            lambda client: client.post("/api/batches", json={}, headers={"Idempotency-Key": "b"}),
            "batch_id",
        ),
        "single": (
            lambda client: send_one(client, patient_id, headers={"Idempotency-Key": "s"}),
            "job_ids",
        ),
        "files": (
            lambda client: add(client, batch_id, patient_id, **{"Idempotency-Key": "f"}),
            "job_ids",
        ),
        "zip": (zip_into_batch, "job_ids"),
        "retry": (lambda client: client.post(retry, headers={"Idempotency-Key": "r"}), "data"),
    }
    for name, (call, field) in requests.items():
        clients = [as_(admin, services) for _ in range(3)]
        answers = [*at_once([partial(call, client) for client in clients]), call(admin)]
        assert {answer.status_code for answer in answers} <= {200, 201, 202}, name
        ids = {str(answer.json[field]["id"] if field == "data" else answer.json[field]) for answer in answers}
        assert len(ids) == 1, name
    with services.sessions() as session:
        kinds = {row[0]: row[1] for row in session.execute(select(Job.kind, func.count()).group_by(Job.kind))}
        retried = session.execute(select(func.count()).where(JobEvent.reason == "retried")).scalar_one()
    assert (kinds[JobKind.SCAN], kinds[JobKind.REPORT]) == (5, 1)
    assert (count(services, Batch), retried) == (2 + 2 + 1, 1)
    originals = [key for key in stored(services) if key.startswith("original/")]
    assert len(originals) == 5
    conflict = admin.post("/api/report/generate", json={"patient_id": 999}, headers=KEY)
    assert conflict.status_code == 409
    assert admin.post("/api/batches", json={"name": "x"}, headers=KEY).status_code == 409, "another route"


def test_a_dry_run_uses_up_no_key(admin: FlaskClient, patient_id: int, services: Services) -> None:
    url = f"/api/batches/{new_batch(admin)}/scans"
    for query, status in (("?dry_run=1", 200), ("?dry_run=1", 200), ("", 202)):
        form = {"patient_id": str(patient_id), "files": [part("a.png", picture())]}
        assert admin.post(url + query, data=form, headers=KEY).status_code == status
    assert rows_of(services) == (1, 1)


def test_old_keys_and_failed_logins_are_swept_away(
    admin: FlaskClient, anonymous: FlaskClient, patient_id: int, services: Services
) -> None:
    first = send(admin, patient_id, headers=KEY)
    send(admin, patient_id, headers={"Idempotency-Key": "a newer one"})
    for _ in range(2):
        anonymous.post("/api/admin/login", json={"username": "nobody", "password": "wrong"})
    sweep(services)
    assert (count(services, IdempotencyKey), count(services, LoginFailure)) == (2, 2)
    days = timedelta(days=services.settings.idempotency_days, seconds=1)
    seconds = timedelta(seconds=services.settings.login_window_seconds + 1)
    with services.sessions.begin() as session:
        old = update(IdempotencyKey).where(IdempotencyKey.key == KEY["Idempotency-Key"])
        session.execute(old.values(created_at=IdempotencyKey.created_at - days))
        oldest = select(func.min(LoginFailure.id)).scalar_subquery()
        session.execute(
            update(LoginFailure).where(LoginFailure.id == oldest).values(at=LoginFailure.at - seconds)
        )
    sweep(services)
    assert (count(services, IdempotencyKey), count(services, LoginFailure)) == (1, 1)
    assert ids_of(send(admin, patient_id, headers=KEY)) != ids_of(first)
