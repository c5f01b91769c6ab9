"""The short way of polls: it answers as Flask does, byte for byte, and only what it should."""

import time
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, func, update
from werkzeug.test import TestResponse

from api.auth import COOKIE
from shared import jobs
from shared.database import make_engine, make_sessions
from shared.logs import configure_logging
from shared.models import Job, JobKind, JobStatus, Login, Mail, MailTemplate
from shared.services import Services
from tests.fakes import MadeUpModel
from tests.integration.conftest import client_of
from tests.integration.sending import as_, new_patient, pictures, send
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

UNKNOWN = "00000000-0000-4000-8000-000000000000"
OWN_OF_EACH = ("Date", "X-Request-ID")


def is_short(answer: TestResponse) -> bool:
    """Flask dates its answer to a poll; on the short way that is left to the server."""
    return answer.status_code in (200, 304) and "Date" not in answer.headers


def both_ways(client: FlaskClient, job_id: str, **headers: str) -> tuple[TestResponse, TestResponse]:
    """A poll as it is, and one that asks for the same in a way that only Flask understands."""
    short = client.get(f"/api/jobs/{job_id}", headers=headers)
    long = client.get(f"/api/jobs/{job_id}?wait=0", headers=headers)
    assert not is_short(long)
    return short, long


def check_same(short: TestResponse, long: TestResponse) -> None:
    kept = [sorted(item for item in answer.headers if item[0] not in OWN_OF_EACH) for answer in (short, long)]
    assert (short.status_code, short.data, kept[0]) == (long.status_code, long.data, kept[1])
    assert len(short.headers["X-Request-ID"]) == len(long.headers["X-Request-ID"])


@pytest.fixture
def of_every_kind(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    pipeline: ScanPipeline,
    model: MadeUpModel,
    renderer: ReportRenderer,
) -> list[str]:
    """Jobs of each kind and in each state, all about one patient."""
    (done,) = send(admin, patient_id).json["job_ids"]
    pipeline.drain()
    model.rejects = True
    (rejected,) = send(admin, patient_id).json["job_ids"]
    pipeline.drain()
    model.fails_on_batches_of = 1
    (failed,) = send(admin, patient_id).json["job_ids"]
    pipeline.drain()
    report = admin.post("/api/report/generate", json={"patient_id": patient_id}).json["job_id"]
    renderer.drain()
    queued = send(admin, patient_id, *pictures(4)).json["job_ids"]
    admin.delete(f"/api/jobs/{queued[2]}")
    with services.sessions.begin() as session:
        (running,) = jobs.claim(session, JobKind.SCAN, "a worker", 1, lease_seconds=60)
        mail = Mail(
            template=MailTemplate.CREDENTIALS, patient_id=patient_id, message_id="m", sent_at=func.now()
        )
        session.add(mail)
        session.flush()
        sent = Job(id=uuid.uuid4(), kind=JobKind.MAIL, mail_id=mail.id, status=JobStatus.SUCCEEDED)
        session.add(sent)
    assert str(running.job_id) in queued
    return [done, rejected, failed, report, str(sent.id), *queued]


def test_a_poll_is_answered_as_by_flask_whatever_the_job(
    admin: FlaskClient, of_every_kind: list[str], services: Services
) -> None:
    for job_id in of_every_kind:
        short, long = both_ways(admin, job_id)
        assert short.status_code == 200
        assert is_short(short)
        check_same(short, long)
    places = [admin.get(f"/api/jobs/{job_id}").json["data"].get("queue_position") for job_id in of_every_kind]
    assert places[-4:] == [None, 1, None, 2]
    secure = as_(admin, services, public_url="https://scans.example.org")
    check_same(*both_ways(secure, of_every_kind[0]))


def test_a_known_answer_is_not_sent_again(admin: FlaskClient, of_every_kind: list[str]) -> None:
    job_id = of_every_kind[0]
    etag = admin.get(f"/api/jobs/{job_id}").headers["ETag"]
    for known, status in ((etag, 304), (f'"x", W/{etag}', 304), ("*", 304), ('"x"', 200), ("nonsense", 200)):
        short, long = both_ways(admin, job_id, **{"If-None-Match": known})
        assert (short.status_code, is_short(short)) == (status, True), known
        check_same(short, long)


def test_who_may_not_see_a_job_is_answered_by_flask(
    admin: FlaskClient, anonymous: FlaskClient, services: Services
) -> None:
    owner_id, owner = new_patient(services, "Its Owner")
    _, stranger = new_patient(services)
    (job_id,) = send(admin, owner_id).json["job_ids"]
    with_cookie, forged = client_of(services, use_cookies=True), client_of(services, use_cookies=False)
    with_cookie.set_cookie(COOKIE, owner.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer "))
    forged.environ_base["HTTP_AUTHORIZATION"] = "Bearer forged"
    for client, status in (
        (owner, 200),
        (with_cookie, 200),
        (admin, 200),
        (stranger, 404),
        (anonymous, 401),
        (forged, 401),
    ):
        short, long = both_ways(client, job_id)
        assert (short.status_code, is_short(short)) == (status, status == 200)
        check_same(short, long)
    assert both_ways(admin, UNKNOWN)[0].status_code == 404
    with services.sessions.begin() as session:
        session.execute(update(Job).values(is_public=True))
    short, long = both_ways(stranger, job_id)
    assert (short.status_code, is_short(short), short.json["data"]["batch_id"]) == (200, False, None)
    with services.sessions.begin() as session:
        session.execute(update(Login).values(expires_at=func.now() - timedelta(seconds=1)))
    assert [who.get(f"/api/jobs/{job_id}").status_code for who in (owner, with_cookie, admin)] == [401] * 3


def test_an_unusual_poll_goes_through_flask(admin: FlaskClient, patient_id: int) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    changes: list[tuple[dict[str, Any], int]] = [
        ({"headers": {"Origin": "http://localhost:3000"}}, 200),
        ({"headers": {"Host": "not a host"}}, 400),
        ({"data": b"{}"}, 200),
        ({"query_string": "wait=0"}, 200),
        ({"method": "HEAD"}, 200),
        ({"path": f"/api/jobs/{job_id.upper()}"}, 200),
        ({"path": f"/api/jobs/{job_id}/"}, 404),
        ({}, 200),
    ]
    for change, status in changes:
        answer = admin.open(**{"path": f"/api/jobs/{job_id}", **change})
        assert (answer.status_code, is_short(answer)) == (status, change == {}), change


def test_polls_count_as_requests_of_their_caller(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    (job_id,) = send(admin, patient_id).json["job_ids"]
    limited = as_(admin, services, requests_per_minute=3)
    answers = [limited.get(f"/api/jobs/{job_id}") for _ in range(4)]
    if [answer.status_code for answer in answers] != [200, 200, 200, 429]:  # a minute ended meanwhile
        answers = [limited.get(f"/api/jobs/{job_id}") for _ in range(4)]
    assert [answer.status_code for answer in answers][-1] == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1


def test_while_the_database_is_away_polls_ask_it_once_each(
    admin: FlaskClient, patient_id: int, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logging("CRITICAL")
    path = f"/api/jobs/{send(admin, patient_id).json['job_ids'][0]}"
    engine = make_engine(services.settings)
    tries = []

    @event.listens_for(engine, "do_connect")
    def refuse(*_: object) -> None:
        tries.append(1)
        if is_away:
            raise psycopg2.OperationalError("made up")

    client = as_(admin, replace(services, sessions=make_sessions(engine)))
    is_away = True
    assert [client.get(path).status_code for _ in range(3)] == [503, 503, 503]
    assert len(tries) == 4, "only the first was tried both ways"
    is_away = False
    assert not is_short(client.get(path))
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    assert is_short(client.get(path))
    engine.dispose()
