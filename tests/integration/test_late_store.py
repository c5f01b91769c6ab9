"""A store that answers late is asked for several batches at once; one that answers soon never is."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from shared.models import Job, JobStatus
from shared.services import Services
from shared.settings import Settings
from tests.fakes import PROVENANCE, FailingStore, MadeUpModel, picture
from tests.integration.test_scan_path import upload
from worker.batch_source import MOST_AHEAD
from worker.pipeline import LoadedModel, ScanPipeline

BATCH = 4
SCANS = 10 * BATCH
LATE_S = 0.3


class LateStore(FailingStore):
    """Answers after `delay_s`, and knows how many calls of each kind waited at once."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.delay_s = 0.0
        self.most = {"get": 0, "put": 0}
        self._now = {"get": 0, "put": 0}
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes, content_type: str) -> None:
        with self._waiting("put"):
            super().put(key, data, content_type)

    def get(self, key: str) -> bytes:
        with self._waiting("get"):
            return super().get(key)

    @contextmanager
    def _waiting(self, method: str) -> Iterator[None]:
        with self._lock:
            self._now[method] += 1
            self.most[method] = max(self.most[method], self._now[method])
        time.sleep(self.delay_s)
        try:
            yield
        finally:
            with self._lock:
                self._now[method] -= 1


@dataclass
class Onlooker(MadeUpModel):
    """Notes, while it predicts, which jobs are running, and how many were claimed before their turn."""

    services: Services | None = None
    running: list[list[bool]] = field(default_factory=list)  # of each batch: has the job crashed before?
    ahead: list[int] = field(default_factory=list)
    stopping: threading.Event | None = None  # set in the third batch

    def predict(self, inputs: Sequence[Any]) -> Any:
        assert self.services is not None
        answers = super().predict(inputs)
        with self.services.sessions() as session:
            running = select(Job.crash_count > 0).where(Job.status == JobStatus.RUNNING)
            self.running.append(list(session.scalars(running)))
            claimed = session.scalars(select(func.count(Job.id)).where(Job.started_at.is_not(None))).one()
        self.ahead.append(claimed - sum(self.batch_sizes))
        if self.stopping and len(self.batch_sizes) == 3:
            self.stopping.set()
        return answers


@pytest.fixture
def images(settings: Settings) -> LateStore:
    return LateStore(settings.image_folder, "images", "a secret that only the tests use", 3600)


@pytest.fixture
def services(services: Services, settings: Settings) -> Services:
    return replace(services, settings=settings.model_copy(update={"io_threads": 32, "batch_size": BATCH}))


@pytest.fixture
def model(services: Services) -> Onlooker:
    return Onlooker(services=services)


def analyse(services: Services, model: Onlooker, stopping: threading.Event | None = None) -> int:
    pipeline = ScanPipeline(services, LoadedModel(model, 64, PROVENANCE), stopping)
    try:
        return pipeline.drain()
    finally:
        pipeline.close()


def send(client: FlaskClient, patient_id: int) -> list[str]:
    answer = upload(client, patient_id, *((picture(60 + n), f"{n}.png") for n in range(SCANS)))
    return list(answer.json["job_ids"])


def statuses(services: Services) -> list[tuple[str, int]]:
    """Of each job: its status, and how many of its attempts count."""
    with services.sessions() as session:
        rows = session.execute(select(Job.status, Job.attempt - Job.spent_attempts))
        return [(status, tries) for status, tries in rows]


def test_several_batches_are_fetched_and_stored_at_once(
    admin: FlaskClient, patient_id: int, services: Services, images: LateStore, model: Onlooker
) -> None:
    send(admin, patient_id)
    images.delay_s, images.most = LATE_S, {"get": 0, "put": 0}
    assert analyse(services, model) == SCANS
    assert images.most["get"] > BATCH
    assert images.most["put"] > 2 * BATCH, "a batch has two pictures for each scan"
    assert BATCH < max(model.ahead) <= (1 + MOST_AHEAD) * BATCH


def test_of_a_store_that_answers_soon_one_batch_is_claimed_ahead(
    admin: FlaskClient, patient_id: int, services: Services, model: Onlooker
) -> None:
    send(admin, patient_id)
    assert analyse(services, model) == SCANS
    # Most of the time: a machine that pauses for a tenth of a second makes a disk look slow once.
    assert statistics.median(model.ahead) <= BATCH


def test_what_was_claimed_ahead_is_given_back_when_the_worker_stops(
    admin: FlaskClient, patient_id: int, services: Services, images: LateStore, model: Onlooker
) -> None:
    send(admin, patient_id)
    images.delay_s = LATE_S
    model.stopping = threading.Event()
    assert analyse(services, model, model.stopping) == 3 * BATCH
    assert model.ahead[-1] > BATCH, "there was something to be given back"
    done, waiting = [(JobStatus.SUCCEEDED, 1)] * 3 * BATCH, [(JobStatus.QUEUED, 0)] * (SCANS - 3 * BATCH)
    assert sorted(statuses(services)) == sorted([*done, *waiting])


def test_what_was_claimed_ahead_of_a_mistake_runs_again(
    admin: FlaskClient, patient_id: int, services: Services, images: LateStore, model: Onlooker
) -> None:
    send(admin, patient_id)
    images.delay_s = LATE_S

    class Mistaken(Onlooker):
        def predict(self, inputs: Sequence[Any]) -> Any:
            if len(self.batch_sizes) == 3:
                raise LookupError("a mistake in the code")
            return super().predict(inputs)

    with pytest.raises(LookupError):
        analyse(services, Mistaken(services=services))
    assert {status for status, _ in statuses(services)} == {JobStatus.SUCCEEDED, JobStatus.QUEUED}
    with services.sessions.begin() as session:
        crashed = session.scalars(select(func.count(Job.id)).where(Job.crash_count > 0)).one()
        session.execute(update(Job).values(run_after=Job.created_at, crash_count=0))
    assert crashed > BATCH
    images.delay_s = 0
    analyse(services, model)
    assert {status for status, _ in statuses(services)} == {JobStatus.SUCCEEDED}


def test_nothing_is_in_flight_beside_a_suspect(
    admin: FlaskClient, patient_id: int, services: Services, images: LateStore, model: Onlooker
) -> None:
    job_ids = send(admin, patient_id)
    with services.sessions.begin() as session:
        chosen = [job_ids[index] for index in (9, 20, 39)]
        session.execute(update(Job).where(Job.id.in_(chosen)).values(crash_count=1))
    images.delay_s = LATE_S
    assert analyse(services, model) == SCANS
    assert sorted(running for running in model.running if any(running)) == [[True]] * 3
    assert max(model.ahead) > BATCH, "the others overlap"
