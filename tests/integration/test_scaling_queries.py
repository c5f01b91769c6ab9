"""What KEDA asks the database to know how many workers are needed, asked of the real tables."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import func, text, update
from sqlalchemy.orm import Session, sessionmaker

from shared import accounts, scans
from shared.accounts import PatientFacts
from shared.models import Job, JobStatus
from tests.integration.test_job_states import original

SCALING = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base" / "scaling.yaml"


def asked(sessions: sessionmaker[Session]) -> dict[str, int]:
    """The answers by the triggers' names."""
    manifests = list(yaml.safe_load_all(SCALING.read_text()))
    triggers: list[Any] = [t for m in manifests for t in m["spec"].get("triggers", ())]
    with sessions() as session:
        return {t["name"]: session.execute(text(t["metadata"]["query"])).scalar_one() for t in triggers}


def test_only_jobs_that_are_due_count(sessions: sessionmaker[Session]) -> None:
    assert set(asked(sessions).values()) == {0}
    with sessions.begin() as session:
        patient = accounts.create_patient(session, PatientFacts("Ada", "ada@example.org"))[0].id
        registered = scans.register(session, [original(patient, n) for n in range(4)])
        ids = [job.id for job in registered.jobs]
        states: list[dict[str, Any]] = [
            {"run_after": func.now() - timedelta(seconds=90)},
            {"run_after": func.now() + timedelta(seconds=90)},
            {"status": JobStatus.RUNNING, "run_after": func.now() - timedelta(days=1)},
        ]
        for job_id, values in zip(ids, states, strict=False):
            session.execute(update(Job).where(Job.id == job_id).values(**values))
    answers = asked(sessions)
    assert answers["waiting-scans"] == 2
    assert 90 <= answers["oldest-waiting-scan-seconds"] < 150
    assert answers["oldest-waiting-report-seconds"] == 0
