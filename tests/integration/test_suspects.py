"""A job whose last attempt ended in a crash goes its whole path with nothing beside it in the process."""

from collections.abc import Sequence
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text, update

from shared.models import Job, JobStatus
from shared.services import Services
from tests.fakes import PROVENANCE, MadeUpModel, picture
from tests.integration.test_scan_path import upload
from worker.pipeline import LoadedModel, ScanPipeline


class Onlooker(MadeUpModel):
    """Notes, while it predicts, which jobs are running."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services
        self.seen: list[list[bool]] = []  # for each batch, for each running job: has it crashed before?

    def predict(self, inputs: Sequence[Any]) -> Any:
        with self._services.sessions() as session:
            running = select(Job.crash_count > 0).where(Job.status == JobStatus.RUNNING)
            self.seen.append(list(session.scalars(running)))
        return super().predict(inputs)


@pytest.mark.parametrize("suspects", [(0, 1, 2), (10, 20, 30)], ids=["oldest", "amid others"])
def test_nothing_is_in_flight_beside_a_suspect(
    admin: FlaskClient, patient_id: int, services: Services, suspects: tuple[int, ...]
) -> None:
    answer = upload(admin, patient_id, *((picture(60 + n), f"{n}.png") for n in range(40)))
    with services.sessions.begin() as session:
        chosen = [answer.json["job_ids"][index] for index in suspects]
        session.execute(update(Job).where(Job.id.in_(chosen)).values(crash_count=1))
    model = Onlooker(services)
    pipeline = ScanPipeline(services, LoadedModel(model, 64, PROVENANCE))
    try:
        assert pipeline.drain() == 40
    finally:
        pipeline.close()
    assert sorted(running for running in model.seen if any(running)) == [[True]] * 3
    assert max(len(running) for running in model.seen) > services.settings.batch_size, "the others overlap"


def test_a_suspect_that_comes_while_others_are_in_flight_is_done_after_them(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    answer = upload(admin, patient_id, *((picture(60 + n), f"{n}.png") for n in range(20)))
    late = answer.json["job_ids"][19]

    class Crashing(Onlooker):
        """Somebody else's attempt at the last job crashes while the first batch is here."""

        def predict(self, inputs: Sequence[Any]) -> Any:
            if not self.seen:
                with self._services.sessions.begin() as session:
                    session.execute(
                        update(Job).where(Job.id == late).values(crash_count=1, run_after=func.now())
                    )
            return super().predict(inputs)

    with services.sessions.begin() as session:
        session.execute(update(Job).where(Job.id == late).values(run_after=text("'infinity'")))
    model = Crashing(services)
    pipeline = ScanPipeline(services, LoadedModel(model, 64, PROVENANCE))
    try:
        assert pipeline.drain() == 20
    finally:
        pipeline.close()
    assert model.seen[-1] == [True]
