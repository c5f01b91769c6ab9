"""Mails from the row to a real mail server: what arrives, what is tried again, what a person must mend."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from shared import jobs, mails
from shared.models import Job, JobKind, JobStatus, Lane, Mail, Patient, Stage
from shared.services import Services
from shared.settings import Settings
from shared.sweep import sweep
from stack.ports import LOOPBACK
from tests.fakes import RecordingQueue
from tests.mail_server import (
    LOGIN,
    PASSWORD,
    Certificate,
    MailServer,
    make_certificate,
    server_without_tls,
    silent_server,
)
from worker.mailing import MailSender

GENERATED = "geheimes Passw0rt"
SHORT_S = 0.5  # for servers that never answer
PATIENCE_S = 20.0  # for those that do, on a busy machine


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server(certificate: Certificate) -> Iterator[MailServer]:
    made = MailServer(certificate)
    made.start()
    yield made
    made.stop()


def configured(settings: Settings, server: MailServer, **changes: object) -> Settings:
    return settings.model_copy(
        update={
            "smtp_server": LOOPBACK,
            "smtp_port": server.port,
            "smtp_username": LOGIN,
            "smtp_password": SecretStr(PASSWORD),
            "smtp_security": server.security,
            "smtp_ca_file": str(server.certificate.chain),
            "smtp_timeout_seconds": PATIENCE_S,
            "portal_url": "https://portal.example.org/?a=1&b=2",
            "retry_seconds": 0.0,
            **changes,
        }
    )


def hanging_at(port: int, settings: Settings, server: MailServer) -> Settings:
    return configured(settings, server, smtp_port=port, smtp_timeout_seconds=SHORT_S)


@pytest.fixture
def with_mail(services: Services, server: MailServer) -> Services:
    return replace(services, settings=configured(services.settings, server))


@pytest.fixture
def patient(services: Services) -> Patient:
    with services.sessions.begin() as session:
        return add_patient(session, "zoe")


def add_patient(session: Session, word: str) -> Patient:
    made = Patient(
        patient_id=word,
        name="Zoë <Ünal>",
        email=f"{word}@example.org",
        username=f"patient_{word}",
        password_hash="none",
    )
    session.add(made)
    session.flush()
    return made


def queue_mail(services: Services, patient: Patient, password: str = GENERATED) -> uuid.UUID:
    with services.sessions.begin() as session:
        job = mails.queue_credentials(session, patient, password, services.settings)
    assert job is not None
    return job.id


def drain(services: Services) -> int:
    sender = MailSender(services)
    try:
        return sender.drain()
    finally:
        sender.close()


def job_of(services: Services, job_id: uuid.UUID) -> Job:
    with services.sessions() as session:
        return session.get_one(Job, job_id)


def mail_of(services: Services, job_id: uuid.UUID) -> Mail:
    with services.sessions() as session:
        return session.execute(select(Mail).join(Job).where(Job.id == job_id)).scalar_one()


def is_accepting(services: Services) -> bool:
    with services.sessions() as session:
        return mails.is_accepting(session, services.settings)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_credentials_arrive_encrypted_and_are_then_forgotten(
    services: Services, patient: Patient, certificate: Certificate, security: str
) -> None:
    server = MailServer(certificate, security)
    server.start()
    with_mail = replace(services, settings=configured(services.settings, server))
    try:
        job_id = queue_mail(with_mail, patient)
        assert GENERATED not in str(mail_of(with_mail, job_id).secret)
        assert drain(with_mail) == 1
    finally:
        server.stop()
    (message,) = server.received
    assert server.logins == [True]
    assert server.recipients == ["zoe@example.org"]
    assert message["To"].addresses[0].display_name == "Zoë <Ünal>"
    body = message.get_body(("plain",))
    assert body is not None
    for wanted in (patient.username, GENERATED, "https://portal.example.org/?a=1&b=2"):
        assert wanted in body.get_content()
    sent = mail_of(with_mail, job_id)
    assert job_of(with_mail, job_id).status == JobStatus.SUCCEEDED
    assert (sent.secret, sent.message_id) == (None, message["Message-ID"])
    assert sent.sent_at is not None


def test_a_server_that_asks_to_wait_gets_the_same_message_again(
    with_mail: Services, patient: Patient, server: MailServer
) -> None:
    server.answer("DATA", "450 4.2.0 Greylisted")
    job_id = queue_mail(with_mail, patient)
    assert drain(with_mail) == 2
    job = job_of(with_mail, job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    first, second = server.raw
    assert first == second
    assert len({str(message["Message-ID"]) for message in server.received}) == 1


def test_a_refused_login_is_final_until_a_mail_goes_out_again(
    with_mail: Services, patient: Patient, server: MailServer
) -> None:
    assert is_accepting(with_mail)
    server.passwords[LOGIN] = "another"
    job = job_of(with_mail, attempted(with_mail, patient))
    assert (job.status, job.attempt, job.error_code) == (JobStatus.FAILED, 1, "MAIL_REFUSED_LOGIN")
    assert "SMTP_PASSWORD" in str(job.error_message)
    assert PASSWORD not in str(job.error_message)
    assert not is_accepting(with_mail)
    server.passwords[LOGIN] = PASSWORD
    assert job_of(with_mail, attempted(with_mail, patient)).status == JobStatus.SUCCEEDED
    assert is_accepting(with_mail)


def attempted(services: Services, patient: Patient) -> uuid.UUID:
    job_id = queue_mail(services, patient)
    drain(services)
    return job_id


@pytest.mark.parametrize(
    ("command", "answer", "code", "accepting"),
    [
        ("RCPT", "550 5.1.1 No such user zoe@example.org", "MAIL_REFUSED_RECIPIENT", True),
        ("MAIL", "553 5.7.1 Not your address", "MAIL_REFUSED_SENDER", False),
        ("DATA", "554 5.7.1 Looks like spam", "MAIL_REFUSED", True),
    ],
)
def test_a_refusal_is_final_and_names_nobody(
    with_mail: Services,
    patient: Patient,
    server: MailServer,
    command: str,
    answer: str,
    code: str,
    accepting: bool,
) -> None:
    server.answer(command, answer)
    job = job_of(with_mail, attempted(with_mail, patient))
    assert (job.status, job.attempt, job.error_code) == (JobStatus.FAILED, 1, code)
    assert "zoe" not in str(job.error_message)
    assert is_accepting(with_mail) == accepting


def test_a_server_that_hangs_costs_one_short_try_and_then_a_rest(
    with_mail: Services, server: MailServer
) -> None:
    with silent_server() as port:
        hanging = replace(with_mail, settings=hanging_at(port, with_mail.settings, server))
        with hanging.sessions.begin() as session:
            patients = [add_patient(session, word) for word in ("ada", "bob", "eve")]
        waiting = [queue_mail(hanging, patient) for patient in patients]
        sender = MailSender(hanging)
        try:
            began = time.monotonic()
            assert sender.drain() == 1
            assert sender.drain() == 0
            assert time.monotonic() - began < 5 * SHORT_S
        finally:
            sender.close()
    assert [job_of(hanging, job_id).status for job_id in waiting] == [JobStatus.QUEUED] * 3
    assert not is_accepting(hanging)


def test_a_mail_goes_out_once_its_server_is_back(
    with_mail: Services, patient: Patient, server: MailServer
) -> None:
    server.stop()
    job_id = queue_mail(with_mail, patient)
    rest = 2.0  # after no answer, as long as one try
    settings = configured(with_mail.settings, server, smtp_timeout_seconds=rest)
    sender = MailSender(replace(with_mail, settings=settings))
    try:
        assert sender.drain() == 1
        waiting = job_of(with_mail, job_id)
        assert (waiting.status, waiting.error_code) == (JobStatus.QUEUED, "MAIL_UNREACHABLE")
        server.start()
        time.sleep(rest)
        assert sender.drain() == 1
    finally:
        sender.close()
    assert job_of(with_mail, job_id).status == JobStatus.SUCCEEDED
    assert len(server.received) == 1
    assert is_accepting(with_mail)


def untrusted(settings: Settings, server: MailServer, _: Path) -> Settings:
    return configured(settings, server, smtp_ca_file=None)


def of_another_name(settings: Settings, server: MailServer, folder: Path) -> Settings:
    server.stop()
    server.certificate = make_certificate(folder, "127.0.0.2")
    server.start()
    return configured(settings, server)


def missing(settings: Settings, server: MailServer, folder: Path) -> Settings:
    return configured(settings, server, smtp_ca_file=str(folder / "missing.crt"))


@pytest.mark.parametrize("spoil", [untrusted, of_another_name, missing])
def test_a_certificate_that_cannot_be_checked_is_refused(
    services: Services,
    patient: Patient,
    server: MailServer,
    tmp_path: Path,
    spoil: Callable[[Settings, MailServer, Path], Settings],
) -> None:
    spoiled = replace(services, settings=spoil(services.settings, server, tmp_path))
    job = job_of(spoiled, attempted(spoiled, patient))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "MAIL_TLS_FAILED")
    assert (server.logins, server.received) == ([], [])
    assert not is_accepting(spoiled)


def test_nothing_is_said_to_a_server_without_encryption(
    services: Services, patient: Patient, server: MailServer
) -> None:
    with server_without_tls() as (port, lines):
        plain = replace(services, settings=configured(services.settings, server, smtp_port=port))
        job = job_of(plain, attempted(plain, patient))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "MAIL_TLS_FAILED")
    assert len(lines) == 1
    assert lines[0].lower().startswith(b"ehlo ")


def test_the_mail_password_is_never_sent_in_clear(
    services: Services, patient: Patient, server: MailServer
) -> None:
    with server_without_tls() as (port, lines):
        changes = {"smtp_port": port, "smtp_security": "none"}
        plain = replace(services, settings=configured(services.settings, server, **changes))
        job = job_of(plain, attempted(plain, patient))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "MAIL_REFUSED_LOGIN")
    assert not [line for line in lines if b"AUTH" in line]


def test_a_server_that_takes_no_leave_has_taken_the_mail(
    with_mail: Services, patient: Patient, server: MailServer
) -> None:
    server.answer("QUIT", "502 5.5.1 Not here")
    assert job_of(with_mail, attempted(with_mail, patient)).status == JobStatus.SUCCEEDED
    assert len(server.received) == 1


def test_without_a_mail_server_there_is_no_mail(services: Services, patient: Patient) -> None:
    with services.sessions.begin() as session:
        assert mails.queue_credentials(session, patient, GENERATED, services.settings) is None
        assert session.execute(select(func.count(Mail.id))).scalar_one() == 0
    assert not is_accepting(services)


def test_a_password_is_forgotten_after_a_day(
    with_mail: Services, patient: Patient, server: MailServer
) -> None:
    job_id = queue_mail(with_mail, patient)
    sweep(with_mail)
    assert mail_of(with_mail, job_id).secret is not None
    with with_mail.sessions.begin() as session:
        session.execute(update(Mail).values(created_at=func.now() - timedelta(hours=25)))
    sweep(with_mail)
    assert mail_of(with_mail, job_id).secret is None
    drain(with_mail)
    job = job_of(with_mail, job_id)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "MAIL_EXPIRED")
    assert "reset the password" in str(job.error_message)
    assert server.received == []


def test_a_newer_password_replaces_one_that_waits(
    with_mail: Services, patient: Patient, server: MailServer
) -> None:
    old, new = queue_mail(with_mail, patient, "the old one"), queue_mail(with_mail, patient, "the new one")
    assert drain(with_mail) == 1
    assert (job_of(with_mail, old).status, job_of(with_mail, new).status) == ("cancelled", "succeeded")
    assert mail_of(with_mail, old).secret is None
    assert len(server.received) == 1
    assert b"the new one" in server.raw[0]


def test_a_changed_secret_key_fails_the_mail_in_a_sentence(
    with_mail: Services, patient: Patient, server: MailServer
) -> None:
    job_id = queue_mail(with_mail, patient)
    changes = {"secret_key": SecretStr("another key")}
    drain(replace(with_mail, settings=with_mail.settings.model_copy(update=changes)))
    assert "SECRET_KEY" in str(job_of(with_mail, job_id).error_message)
    assert server.received == []


def test_a_sender_that_lost_its_claim_records_nothing(with_mail: Services, patient: Patient) -> None:
    job_id = queue_mail(with_mail, patient)
    with with_mail.sessions.begin() as session:
        (claim,) = jobs.claim(session, JobKind.MAIL, "a worker", 1, 60)
        session.execute(update(Job).values(lease_until=func.now() - timedelta(seconds=1)))
    with with_mail.sessions.begin() as session:
        assert jobs.expire_leases(session, 4, 0) == 1
        assert not mails.record_sent(session, claim)
    assert mail_of(with_mail, job_id).secret is not None
    assert mail_of(with_mail, job_id).sent_at is None


def test_a_mail_tells_in_which_stage_it_failed(
    with_mail: Services, patient: Patient, server: MailServer
) -> None:
    server.answer("DATA", "554 5.7.1 Looks like spam")
    refused = job_of(with_mail, attempted(with_mail, patient))
    assert (refused.status, refused.stage) == (JobStatus.FAILED, Stage.SEND)
    job_id = queue_mail(with_mail, patient)
    with with_mail.sessions.begin() as session:
        session.execute(update(Mail).values(secret=None))
    drain(with_mail)
    expired = job_of(with_mail, job_id)
    assert (expired.status, expired.stage, expired.error_code) == (
        JobStatus.FAILED,
        Stage.GATHER,
        "MAIL_EXPIRED",
    )


def test_a_mail_whose_sender_crashes_is_tried_as_often_as_any_mail(
    with_mail: Services, patient: Patient
) -> None:
    job_id = queue_mail(with_mail, patient)
    impatient = replace(with_mail, settings=with_mail.settings.model_copy(update={"max_attempts": 1}))

    def crash() -> Job:
        with impatient.sessions.begin() as session:
            assert jobs.claim(session, JobKind.MAIL, "a worker that dies", 1, lease_seconds=-1)
        sweep(impatient)
        return job_of(impatient, job_id)

    crashed = [crash() for _ in range(mails.MIN_ATTEMPTS)]
    assert {job.status for job in crashed[:-1]} == {JobStatus.QUEUED}
    assert (crashed[-1].status, crashed[-1].error_code) == (JobStatus.FAILED, "WORKER_LOST")


def test_a_forgotten_mail_wakes_a_worker(
    with_mail: Services, patient: Patient, queue: RecordingQueue
) -> None:
    job_id = queue_mail(with_mail, patient)
    with with_mail.sessions.begin() as session:
        session.execute(update(Job).values(run_after=func.now() - timedelta(minutes=1)))
    sweep(with_mail)
    assert queue.sent == [(JobKind.MAIL, Lane.INTERACTIVE, [job_id])]


def test_a_long_backlog_is_handed_to_the_next_task(
    with_mail: Services, patient: Patient, queue: RecordingQueue
) -> None:
    job_id = queue_mail(with_mail, patient)
    hasty = replace(with_mail, settings=with_mail.settings.model_copy(update={"drain_seconds": -1.0}))
    assert drain(hasty) == 0
    assert queue.sent == [(JobKind.MAIL, Lane.INTERACTIVE, [job_id])]


def test_no_transaction_is_open_while_the_mail_server_is_talked_to(
    with_mail: Services, patient: Patient, server: MailServer
) -> None:
    open_ones: list[int] = []

    def look(session: Session) -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        open_ones.append(session.execute(text(query)).scalar_one())

    with silent_server() as port:
        hanging = replace(with_mail, settings=hanging_at(port, with_mail.settings, server))
        queue_mail(hanging, patient)
        talking = threading.Thread(target=drain, args=(hanging,))
        talking.start()
        time.sleep(SHORT_S / 2)
        with hanging.sessions() as session:
            look(session)
        talking.join()
    assert open_ones == [0]
