"""The real worker as a process: Celery, Redis, Postgres and the shipped model."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import func, select

from shared import mails
from shared.models import Job, JobKind, JobStatus, Lane, Patient, Worker
from shared.queue import hints
from shared.services import Services
from shared.settings import Settings
from stack.ports import LOOPBACK
from stack.redis_server import RedisServer
from tests.integration.worker_run import (
    PATIENCE_S,
    REPORT_QUEUES,
    ROOT,
    RunningWorker,
    all_ended,
    count,
    start_worker,
    stop_worker,
    until,
    upload,
)
from tests.mail_server import LOGIN, PASSWORD, MailServer, make_certificate


@pytest.fixture
def worker(real_settings: Settings, real_services: Services, tmp_path: Path) -> Iterator[RunningWorker]:
    running = start_worker(real_settings, tmp_path)
    until(lambda: bool(count(real_services, select(func.count(Worker.name)))), "the worker says it is alive")
    yield running
    stop_worker(running)


def test_scans_run_in_batches_and_the_model_is_loaded_once(
    real_services: Services, worker: RunningWorker, patient: int
) -> None:
    assert upload(real_services, patient, 40) == 202
    until(lambda: all_ended(real_services, 40), "all scans are analysed")
    sizes = [record["size"] for record in worker.events("batch finished")]
    assert sum(sizes) == 40
    assert max(sizes) == 16
    assert len(sizes) <= 4
    assert len(worker.events("model loaded")) == 1


def test_uploads_while_redis_is_down_run_once_it_is_back(
    real_services: Services, worker: RunningWorker, patient: int, own_redis: RedisServer
) -> None:
    own_redis.stop()
    began = time.monotonic()
    assert upload(real_services, patient, 3) == 202
    assert time.monotonic() - began < 5
    assert count(real_services, select(func.count(Job.id)).where(Job.status == JobStatus.QUEUED)) == 3
    own_redis.start()
    until(lambda: all_ended(real_services, 3), "the scans are analysed after the outage")
    assert worker.process.poll() is None


def test_a_killed_worker_child_loses_nothing(
    real_services: Services, worker: RunningWorker, patient: int
) -> None:
    assert upload(real_services, patient, 60) == 202
    until(lambda: len(worker.events("batch finished")) > 0, "the first batch is done")
    with real_services.sessions() as session:
        name = session.scalars(select(Worker.name)).first()
    child = int(str(name).rsplit(":", 1)[-1])
    assert os.getpriority(os.PRIO_PROCESS, child) > os.getpriority(os.PRIO_PROCESS, worker.process.pid)
    os.kill(child, signal.SIGKILL)
    until(lambda: all_ended(real_services, 60), "all scans are analysed after the kill")
    assert len(worker.events("model loaded")) == 2
    assert count(real_services, select(func.max(Job.attempt))) <= 2


def test_damaged_weights_stop_the_worker_with_one_clear_line(
    real_settings: Settings, real_services: Services, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(ROOT / "model_weights", folder)
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    worker = start_worker(real_settings, tmp_path, MODEL_FOLDER=str(folder))
    try:
        worker.process.wait(PATIENCE_S)
        reason = worker.events("worker stops: the model cannot be used")[0]["reason"]
        assert "SHA-256" in reason
        assert count(real_services, select(func.count(Worker.name))) == 0
    finally:
        stop_worker(worker)


@contextmanager
def everything_said_to(redis: Redis) -> Iterator[list[str]]:
    """Every command that any client sends to Redis meanwhile."""
    said: list[str] = []
    with redis.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                said.append(str(command["command"]))
                if said[-1].startswith("ECHO enough"):
                    return

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield said
        redis.echo("enough")
        thread.join(10)


def everything_kept_in(redis: Redis) -> bytes:
    return b"".join(key + (redis.dump(key) or b"") for key in redis.keys("*"))


def test_a_password_reaches_its_mail_and_neither_the_broker_nor_a_log(
    real_settings: Settings, real_services: Services, patient: int, tmp_path: Path
) -> None:
    server = MailServer(make_certificate(tmp_path))
    mail = {
        "smtp_server": LOOPBACK,
        "smtp_port": server.port,
        "smtp_security": "starttls",
        "smtp_username": LOGIN,
        "smtp_password": SecretStr(PASSWORD),
        "smtp_ca_file": str(server.certificate.chain),
    }
    services = replace(real_services, settings=real_settings.model_copy(update=mail))
    environment = {name.upper(): str(value) for name, value in mail.items()} | {"SMTP_PASSWORD": PASSWORD}
    secret = "tell nobody but the patient"
    url = real_settings.redis_url.get_secret_value()
    redis = Redis.from_url(url, socket_timeout=None)  # it may be silent
    with everything_said_to(redis) as said:
        with services.sessions.begin() as session:
            job = mails.queue_credentials(
                session, session.get_one(Patient, patient), secret, services.settings
            )
        assert job is not None
        services.queue.wake(JobKind.MAIL, Lane.INTERACTIVE, hints([job]))
        kept = everything_kept_in(redis)
        # No server yet: the first attempt fails, and its failure is logged too.
        worker = start_worker(
            real_settings, tmp_path, REPORT_QUEUES, WORKER_ROLE="report", LOG_LEVEL="DEBUG", **environment
        )
        try:
            until(lambda: len(worker.events("job failed")) > 0, "an attempt fails")
            server.start()
            until(lambda: all_ended(services, 1), "the mail is sent")
            kept += everything_kept_in(redis)
        finally:
            server.stop()
            stop_worker(worker)
    body = server.received[0].get_body(("plain",))
    assert body is not None
    assert secret in body.get_content()
    assert str(job.id) in "".join(said)
    seen = "".join(said).encode() + kept + worker.log_file.read_bytes()
    for hidden in (secret, PASSWORD, "ada@example.org"):
        assert hidden.encode() not in seen
