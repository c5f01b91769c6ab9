"""Two scan workers on machines of their own share a queue; one is cut off in the middle of a batch."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from shared import accounts
from shared.accounts import PatientFacts
from shared.models import Job, JobEvent, JobStatus, Scan, Worker
from shared.services import Services, build_services
from shared.settings import Settings
from stack.postgres import Cluster
from stack.redis_server import RedisServer
from tests.faults.proxy import FaultProxy
from tests.integration.conftest import ADMIN_PASSWORD
from tests.integration.machines import Machine, why_not
from tests.integration.worker_run import RunningWorker, all_ended, count, until, upload
from tests.servers.s3 import S3Server
from worker.pipeline import MOST_FINISHING

SCANS = 60
BATCH = 4
COMMITTING = MOST_FINISHING * BATCH  # may be so many at once, on one machine
REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


@pytest.fixture
def cloud(
    settings: Settings,
    sessions: sessionmaker[Session],  # noqa: ARG001
    own_redis: RedisServer,
    s3_server: S3Server,
) -> Iterator[Services]:
    """Services that keep everything in S3, as where no disk is shared; used by the test itself."""
    values: dict[str, Any] = {
        "redis_url": SecretStr(own_redis.url),
        "image_store": "s3",
        "report_store": "s3",
        "staging_store": "s3",
        "aws_s3_bucket": s3_server.bucket,
        "aws_s3_endpoint_url": s3_server.url,
        "aws_access_key_id": s3_server.access_key_id,
        "aws_secret_access_key": SecretStr(s3_server.secret_access_key),
    }
    built = build_services(settings.model_copy(update=values))
    yield built
    built.sessions.kw["bind"].dispose()


def moved(url: str, port: int, machine: Machine, port_there: int) -> str:
    return url.replace(f"127.0.0.1:{port}", f"{machine.here}:{port_there}")


def environment_of(
    machine: Machine, ports: dict[str, int], targets: dict[str, int], services: Services
) -> dict[str, str]:
    """Where that machine finds the servers: at this machine's address."""
    known = services.settings
    database_url = known.database_url.get_secret_value() if known.database_url else ""
    redis_url = known.redis_url.get_secret_value()
    return {
        "DATABASE_URL": moved(database_url, targets["postgres"], machine, ports["postgres"]),
        "REDIS_URL": moved(redis_url, targets["redis"], machine, ports["redis"]),
        "AWS_S3_ENDPOINT_URL": f"http://{machine.here}:{ports['s3']}",
        "AWS_S3_BUCKET": known.aws_s3_bucket or "",
        "AWS_ACCESS_KEY_ID": known.aws_access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": known.aws_secret_access_key.get_secret_value()
        if known.aws_secret_access_key
        else "",
        "IMAGE_STORE": "s3",
        "REPORT_STORE": "s3",
        "STAGING_STORE": "s3",
        "SECRET_KEY": known.secret_key.get_secret_value(),
        "ENGINE": "load-test",
        "BATCH_SIZE": str(BATCH),
        "LEASE_SECONDS": "4",
        "RETRY_SECONDS": "0.5",
        "STORE_TIMEOUT_SECONDS": "2",
        # So that a batch is cut in its middle, in a transaction that nobody will end.
        "FAIL_AT": "results-written:sleep=0.4",
    }


def running_on(services: Services, machine: Machine) -> int:
    return count(
        services,
        select(func.count(Job.id)).where(
            Job.status == JobStatus.RUNNING, Job.lease_owner.contains(f"{machine.host}:")
        ),
    )


def analysed_by(*workers: RunningWorker) -> list[str]:
    """The jobs whose results these workers recorded, by their own account."""
    ended = [line for worker in workers for line in worker.events("scan ended")]
    return [line["job_id"] for line in ended if line["outcome"] == "analysed"]


def test_a_machine_that_is_cut_off_loses_its_work_to_the_other_and_nothing_is_done_twice(
    cloud: Services, postgres: Cluster, own_redis: RedisServer, s3_server: S3Server, tmp_path: Path
) -> None:
    with cloud.sessions.begin() as session:
        accounts.add_admin(session, "admin", None, ADMIN_PASSWORD)
        patient = accounts.create_patient(session, PatientFacts("Ada", "ada@example.org"))[0].id
    with ExitStack() as ends:
        machines = [ends.enter_context(Machine(number)) for number in (1, 2)]
        workers: list[RunningWorker] = []
        targets = {
            "postgres": postgres.port,
            "redis": own_redis.port,
            "s3": urlsplit(s3_server.url).port or 0,
        }
        for machine in machines:
            ports = {
                name: ends.enter_context(FaultProxy(port, machine.here)).port
                for name, port in targets.items()
            }
            environment = environment_of(machine, ports, targets, cloud)
            workers.append(machine.start_worker(environment, tmp_path))
        until(lambda: count(cloud, select(func.count(Worker.name))) == 2, "both machines are at work")
        cut, other = machines

        assert upload(cloud, patient, SCANS) == 202
        until(lambda: running_on(cloud, cut) > 0 and running_on(cloud, other) > 0, "both have a batch")
        cut.cut_off()
        until(lambda: all_ended(cloud, SCANS), "the other machine does it all")
        taken_over = count(cloud, select(func.count(Job.id)).where(Job.crash_count > 0))
        assert taken_over > 0, "it was cut in the middle of a batch"
        assert running_on(cloud, cut) == 0

        done = len(analysed_by(workers[0]))
        cut.heal()
        sent = SCANS

        def is_back() -> bool:
            nonlocal sent
            sent += 8
            assert upload(cloud, patient, 8) == 202
            until(lambda: all_ended(cloud, sent), "what is sent later is done too")
            return len(analysed_by(workers[0])) > done

        until(is_back, "the machine that was cut off is back at work")
        # A worker does not know of a commit whose answer was lost with the link.
        until(lambda: len(analysed_by(*workers)) >= sent - COMMITTING, "the workers have told what they did")
        told = analysed_by(*workers)
        assert len(told) == len(set(told)) <= sent
    once = select(func.count(JobEvent.job_id.distinct()), func.count()).where(
        JobEvent.status_to == JobStatus.SUCCEEDED
    )
    with cloud.sessions() as session:
        assert tuple(session.execute(once).one()) == (sent, sent)
        assert session.scalar(select(func.count(Scan.id)).where(Scan.overlay_path.is_(None))) == 0
