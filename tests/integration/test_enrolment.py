"""New patients are told their login: on the screen once, and by mail where a mail server works."""

import dataclasses

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from shared import accounts, jobs
from shared.attempts import Failure
from shared.errors import MailLoginError
from shared.models import Job, JobKind, Lane, Mail
from shared.services import Services
from tests.fakes import RecordingQueue
from tests.integration.conftest import ADMIN_PASSWORD, bearer

BODY = {"name": "Ada Example", "email": "ada@example.org"}


@pytest.fixture
def mailing(services: Services) -> Services:
    """Services with a mail server in the settings; whether it works shows when a worker tries."""
    changed = services.settings.model_copy(
        update={"smtp_server": "mail.example.org", "smtp_from": "clinic@example.org"}
    )
    return dataclasses.replace(services, settings=changed)


@pytest.fixture
def clinic(mailing: Services) -> FlaskClient:
    """An admin of the installation that has a mail server."""
    with mailing.sessions.begin() as session:
        accounts.add_admin(session, "admin", None, ADMIN_PASSWORD)
    return bearer(mailing, "/api/admin/login", "admin", ADMIN_PASSWORD)


def mail_jobs(sessions: sessionmaker[Session]) -> list[Job]:
    with sessions() as session:
        return list(session.scalars(select(Job).where(Job.kind == JobKind.MAIL).order_by(Job.position)))


def test_without_a_mail_server_the_answer_says_that_no_mail_was_sent(
    admin: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    made = admin.post("/api/admin/patients", json=BODY).json["data"]
    assert made["email_sent"] is False
    assert mail_jobs(sessions) == []


def test_with_a_mail_server_a_job_is_made_and_a_worker_woken_by_its_id_alone(
    clinic: FlaskClient, sessions: sessionmaker[Session], queue: RecordingQueue
) -> None:
    made = clinic.post("/api/admin/patients", json=BODY).json["data"]
    assert made["email_sent"] is True
    job = mail_jobs(sessions)[0]
    assert queue.sent == [(JobKind.MAIL, Lane.INTERACTIVE, [job.id])]
    with sessions() as session:
        secret = session.scalar(select(Mail.secret))
    assert made["password"] not in secret
    shown = clinic.get(f"/api/jobs/{job.id}")
    assert (shown.json["data"]["kind"], shown.json["data"]["status"]) == ("mail", "queued")
    assert made["password"] not in shown.text


def test_a_refused_mail_makes_no_patient(clinic: FlaskClient, sessions: sessionmaker[Session]) -> None:
    assert clinic.post("/api/admin/patients", json=BODY).status_code == 201
    assert clinic.post("/api/admin/patients", json=BODY).status_code == 409
    assert len(mail_jobs(sessions)) == 1


def test_a_mail_server_that_is_known_to_refuse_us_is_not_counted_on(
    clinic: FlaskClient, mailing: Services
) -> None:
    clinic.post("/api/admin/patients", json=BODY)
    with mailing.sessions.begin() as session:
        claims = jobs.claim(session, JobKind.MAIL, "worker", 1, 60)
        jobs.fail(session, [Failure(claims[0], MailLoginError.code, "refused")], 4, 0)
    made = clinic.post("/api/admin/patients", json={**BODY, "email": "b@example.org"}).json["data"]
    assert made["email_sent"] is False


def test_a_reset_password_is_mailed_too_and_the_mail_before_is_of_no_use_any_more(
    clinic: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    patient = clinic.post("/api/admin/patients", json=BODY).json["data"]
    again = clinic.post(f"/api/admin/patients/{patient['id']}/reset-password").json["data"]
    assert again["email_sent"] is True
    assert again["password"] != patient["password"]
    assert [job.status for job in mail_jobs(sessions)] == ["cancelled", "queued"]
    with sessions() as session:
        secrets = list(session.scalars(select(Mail.secret).order_by(Mail.id)))
    assert [secret is None for secret in secrets] == [True, False]
