"""The state machine of jobs on a real Postgres: claims, leases, fencing, retries."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from shared import accounts, job_queries, jobs, results, scans
from shared.accounts import PatientFacts
from shared.attempts import Claim, Failure
from shared.errors import StorageError, StoreRefusedError
from shared.jobs import MAX_RETRY_SECONDS
from shared.models import Job, JobEvent, JobKind, JobStatus, Lane, Scan, Stage
from shared.results import Finding, ScanResult
from shared.scans import StoredOriginal
from tests.fakes import PROVENANCE

Sessions = sessionmaker[Session]
MAX_ATTEMPTS, OUTAGE_ATTEMPTS = 4, 10


def original(patient: int, number: int) -> StoredOriginal:
    return StoredOriginal(
        patient_id=patient,
        scan_id=f"S{number:04}",
        filename=f"{number}.png",
        key=f"original/S{number:04}.png",
        is_staged=False,
        content_type="image/png",
        byte_size=1,
        width=8,
        height=8,
        sha256="0" * 64,
    )


@pytest.fixture
def patient(sessions: Sessions) -> int:
    with sessions.begin() as session:
        return accounts.create_patient(session, PatientFacts("Ada", "ada@example.org"))[0].id


def add(sessions: Sessions, patient: int, count: int, start: int = 0) -> None:
    with sessions.begin() as session:
        scans.register(session, [original(patient, start + n) for n in range(count)])


def claim(sessions: Sessions, limit: int = 16, lease: float = 60, bulk_first: bool = False) -> list[Claim]:
    with sessions.begin() as session:
        return jobs.claim(session, JobKind.SCAN, "worker", limit, lease, bulk_first)


def result(held: Claim, probability: float = 0.9) -> ScanResult:
    classes = {"glioma": probability, "notumor": 1 - probability}
    return ScanResult(held, Finding(probability, 0.75, classes, None, {}, "h", "o"), PROVENANCE)


def record(sessions: Sessions, *held: Claim) -> int:
    with sessions.begin() as session:
        return len(results.record(session, [result(one) for one in held]))


def states(sessions: Sessions) -> list[tuple[str, int]]:
    with sessions() as session:
        return [(job.status, job.attempt) for job in session.scalars(select(Job).order_by(Job.position))]


def test_claims_take_the_oldest_first(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 5)
    with sessions() as session:
        oldest = list(session.scalars(select(Job.id).order_by(Job.position).limit(3)))
    assert [held.job_id for held in claim(sessions, limit=3)] == oldest


def test_concurrent_claims_never_share_a_job(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 120)
    with ThreadPoolExecutor(8) as threads:
        batches = list(threads.map(lambda _: claim(sessions, limit=10), range(24)))
    taken = [held.job_id for batch in batches for held in batch]
    assert len(taken) == len(set(taken))
    rest = len(taken)
    while batch := claim(sessions):
        rest += len(batch)
    assert rest == 120


def test_interactive_work_comes_first_and_bulk_gets_its_turn(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 20)  # bulk
    add(sessions, patient, 3, start=100)  # interactive, younger
    with sessions() as session:
        lanes = dict(session.execute(select(Job.id, Job.lane)).all())
    taken = sorted(lanes[held.job_id] for held in claim(sessions, limit=4))
    assert taken == [Lane.BULK, Lane.INTERACTIVE, Lane.INTERACTIVE, Lane.INTERACTIVE]
    add(sessions, patient, 3, start=200)
    assert {lanes.get(held.job_id) for held in claim(sessions, limit=2, bulk_first=True)} == {Lane.BULK}


def test_a_zombies_result_is_not_written(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 1)
    (zombie,) = claim(sessions, lease=-1)
    with sessions.begin() as session:
        assert jobs.expire_leases(session, max_attempts=4, retry_seconds=0) == 1
    (owner,) = claim(sessions)
    assert owner.attempt == zombie.attempt + 1
    assert record(sessions, zombie) == 0
    with sessions() as session:
        assert session.scalar(select(Scan.prediction)) is None
    assert record(sessions, owner) == 1
    assert record(sessions, owner) == 0  # said twice, counted once


def test_a_renewed_lease_does_not_expire(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 1)
    held = claim(sessions, lease=-1)
    with sessions.begin() as session:
        jobs.renew(session, held, 60)
    with sessions.begin() as session:
        assert jobs.expire_leases(session, 4, 0) == 0


def test_a_crashed_job_is_retried_alone(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 4)
    claim(sessions, limit=2, lease=-1)
    with sessions.begin() as session:
        jobs.expire_leases(session, 4, 0)
    assert [len(claim(sessions)) for _ in range(4)] == [1, 1, 2, 0]


def test_crashes_use_up_attempts_and_then_the_job_fails_with_its_cause(
    sessions: Sessions, patient: int
) -> None:
    add(sessions, patient, 1)
    for _ in range(3):
        assert len(claim(sessions, lease=-1)) == 1
        with sessions.begin() as session:
            jobs.expire_leases(session, max_attempts=3, retry_seconds=0)
    assert states(sessions) == [(JobStatus.FAILED, 3)]
    with sessions() as session:
        job = session.execute(select(Job)).scalar_one()
        steps = list(session.scalars(select(JobEvent.status_to).order_by(JobEvent.id)))
    assert (job.error_code, job.crash_count, job.lease_owner) == ("WORKER_LOST", 3, None)
    assert job.finished_at is not None
    assert steps == ["queued", "running", "queued", "running", "queued", "running", "failed"]


def test_what_may_pass_is_retried_later_and_what_may_not_fails_at_once(
    sessions: Sessions, patient: int
) -> None:
    add(sessions, patient, 2)
    first, second = claim(sessions)
    with sessions.begin() as session:
        failures = [
            Failure(first, "SERVICE_UNAVAILABLE", "store", retry=True),
            Failure(second, "FILE_UPLOAD_ERROR", "bad"),
        ]
        final = jobs.fail(session, failures, max_attempts=4, retry_seconds=30)
    assert [failure.claim for failure in final] == [second]
    assert states(sessions) == [(JobStatus.QUEUED, 1), (JobStatus.FAILED, 1)]
    assert claim(sessions) == []  # not due yet
    with sessions.begin() as session:
        session.execute(update(Job).values(run_after=func.now() - timedelta(seconds=1)))
    assert [held.job_id for held in claim(sessions)] == [first.job_id]


def test_retries_end_with_the_attempts(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 1)
    for _ in range(2):
        (held,) = claim(sessions)
        with sessions.begin() as session:
            jobs.fail(session, [Failure(held, "SERVICE_UNAVAILABLE", "store", retry=True)], 2, 0)
    assert states(sessions) == [(JobStatus.FAILED, 2)]


def test_forgotten_jobs_are_found_in_their_order(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 3)
    with sessions() as session:
        expected = list(session.scalars(select(Job.id).order_by(Job.position)))
        assert job_queries.waiting(session, JobKind.SCAN, Lane.INTERACTIVE, 60, 10) == []
        waiting = job_queries.waiting(session, JobKind.SCAN, Lane.INTERACTIVE, 0, 2)
        assert [hint.job_id for hint in waiting] == expected[:2]


def test_the_ledger_has_one_terminal_line_per_job(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 6)
    record(sessions, *claim(sessions))
    with sessions() as session:
        ends = session.execute(
            select(JobEvent.job_id, func.count())
            .where(JobEvent.status_to == "succeeded")
            .group_by(JobEvent.job_id)
        ).all()
    assert [count for _, count in ends] == [1] * 6


@pytest.mark.parametrize(
    ("probability", "prediction", "confidence", "tumor_type"),
    [(0.5, "Tumor", 0.5, "glioma"), (0.49, "No Tumor", 0.51, None), (0.0, "No Tumor", 1.0, None)],
)
def test_the_recorded_words_follow_from_the_probability(
    sessions: Sessions,
    patient: int,
    probability: float,
    prediction: str,
    confidence: float,
    tumor_type: str | None,
) -> None:
    add(sessions, patient, 1)
    (held,) = claim(sessions)
    with sessions.begin() as session:
        results.record(session, [result(held, probability)])
    with sessions() as session:
        scan = session.execute(select(Scan)).scalar_one()
    assert (scan.prediction, scan.tumor_type, scan.probability) == (prediction, tumor_type, probability)
    assert scan.confidence == pytest.approx(confidence)
    assert scan.analysed_at is not None


def test_an_outage_of_a_store_uses_up_no_attempts_for_hours(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 1)
    counted = 0
    for number in range(1, OUTAGE_ATTEMPTS + MAX_ATTEMPTS + 1):
        (held,) = claim(sessions)
        counted += number > OUTAGE_ATTEMPTS
        assert held.attempt == number
        assert held.tries == max(counted, 1)
        failure = Failure.of(held, StorageError("The store is out."), Stage.STORE)
        with sessions.begin() as session:
            final = jobs.fail(session, [failure], MAX_ATTEMPTS, 5, OUTAGE_ATTEMPTS)
            pause = session.scalar(select(func.extract("epoch", Job.run_after - func.now())))
            session.execute(update(Job).values(run_after=func.now()))
        if counted == MAX_ATTEMPTS:
            assert final == [failure]
        elif counted == 0:
            assert pause == pytest.approx(min(5 * 2 ** (number - 1), MAX_RETRY_SECONDS), abs=1)
    with sessions() as session:
        assert session.scalars(select(Job.status)).one() == JobStatus.FAILED


def test_a_store_that_refuses_ends_the_job_at_once(sessions: Sessions, patient: int) -> None:
    add(sessions, patient, 1)
    (held,) = claim(sessions)
    failure = Failure.of(held, StoreRefusedError("The bucket does not exist."), Stage.STORE)
    with sessions.begin() as session:
        assert jobs.fail(session, [failure], MAX_ATTEMPTS, 5, OUTAGE_ATTEMPTS) == [failure]
