"""Any sequence of what workers, the sweeper and people do to jobs, against a model of a few lines."""

import uuid
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from shared import accounts, job_control, job_events, jobs
from shared.accounts import PatientFacts
from shared.attempts import Claim, Failure
from shared.errors import ConflictError
from shared.models import Job, JobEvent, JobKind, JobStatus, Scan

JOBS = 4
MAX_ATTEMPTS = 3
EXAMPLES, STEPS = 50, 40
QUEUED, RUNNING = JobStatus.QUEUED, JobStatus.RUNNING
PICKS = st.integers(0, 10**6)


@dataclass
class Expected:
    """What the model believes about one job."""

    status: JobStatus = QUEUED
    attempt: int = 0
    tries: int = 0
    crashes: int = 0
    changes: int = 1

    def to(self, status: JobStatus) -> None:
        self.status = status
        self.changes += 1

    def end_attempt(self, may_retry: bool) -> None:
        self.to(QUEUED if may_retry and self.tries < MAX_ATTEMPTS else JobStatus.FAILED)


class JobMachine(RuleBasedStateMachine):
    """Keeps every claim that was ever given: a worker may come back with any of them, however late."""

    sessions: sessionmaker[Session]

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[Claim] = []
        self.model: dict[object, Expected] = {}

    @initialize()
    def make_jobs(self) -> None:
        with self.sessions.begin() as session:
            session.execute(update(Job).values(status=JobStatus.CANCELLED))  # of the example before
            patient = session.scalar(select(accounts.Patient).limit(1))
            if patient is None:
                patient, _ = accounts.create_patient(session, PatientFacts("Ada", "ada@example.org"))
            made = [
                Job(
                    kind=JobKind.SCAN,
                    scan=Scan(
                        patient_id=patient.id,
                        scan_id=str(uuid.uuid4()),
                        original_filename="a.png",
                        original_path="original/a.png",
                    ),
                )
                for _ in range(JOBS)
            ]
            session.add_all(made)
            session.flush()
            job_events.created(session, [job.id for job in made])
            self.model = {job.id: Expected() for job in made}

    def picked(self, pick: int) -> Claim | None:
        return self.claims[pick % len(self.claims)] if self.claims else None

    def holds(self, claim: Claim) -> bool:
        expected = self.model[claim.job_id]
        return expected.status == RUNNING and expected.attempt == claim.attempt

    @rule(limit=st.integers(1, JOBS), bulk_first=st.booleans())
    def claim(self, limit: int, bulk_first: bool) -> None:
        with self.sessions.begin() as session:
            taken = jobs.claim(session, JobKind.SCAN, "a worker", limit, 60, bulk_first)
        due = [job_id for job_id, expected in self.model.items() if expected.status == QUEUED]
        crashed = [job_id for job_id in due if self.model[job_id].crashes]
        assert [claim.job_id for claim in taken] == (crashed[:1] or due[:limit]), (
            "oldest first, crashed alone"
        )
        for claim in taken:
            expected = self.model[claim.job_id]
            expected.attempt += 1
            expected.tries += 1
            expected.to(RUNNING)
            assert (claim.attempt, claim.tries) == (expected.attempt, expected.tries)
        self.claims += taken

    @rule(pick=PICKS)
    def renew(self, pick: int) -> None:
        if claim := self.picked(pick):
            with self.sessions.begin() as session:
                jobs.renew(session, [claim], 60)

    @rule(pick=PICKS)
    def finish(self, pick: int) -> None:
        if claim := self.picked(pick):
            with self.sessions.begin() as session:
                kept = jobs.succeed(session, [claim])
            assert kept == ([claim] if self.holds(claim) else [])
            if kept:
                self.model[claim.job_id].to(JobStatus.SUCCEEDED)

    @rule(pick=PICKS, may_pass=st.booleans())
    def fail(self, pick: int, may_pass: bool) -> None:
        if claim := self.picked(pick):
            with self.sessions.begin() as session:
                jobs.fail(session, [Failure(claim, "X", "x", may_pass)], MAX_ATTEMPTS, 0)
            if self.holds(claim):
                self.model[claim.job_id].end_attempt(may_pass)

    @rule(pick=PICKS)
    def give_back(self, pick: int) -> None:
        if claim := self.picked(pick):
            with self.sessions.begin() as session:
                jobs.give_back(session, [claim])
            if self.holds(claim):
                self.model[claim.job_id].tries -= 1
                self.model[claim.job_id].to(QUEUED)

    @rule(pick=PICKS)
    def expire(self, pick: int) -> None:
        """The worker of one claim is silent for longer than its lease, and the sweeper comes by."""
        if claim := self.picked(pick):
            late = {"lease_until": func.now() - func.make_interval(0, 0, 0, 0, 0, 1)}
            with self.sessions.begin() as session:
                session.execute(update(Job).where(Job.id == claim.job_id, Job.status == RUNNING).values(late))
            with self.sessions.begin() as session:
                expired = jobs.expire_leases(session, MAX_ATTEMPTS, 0)
            expected = self.model[claim.job_id]
            assert expired == (expected.status == RUNNING)
            if expired:
                expected.crashes += 1
                expected.end_attempt(may_retry=True)

    @rule(pick=st.integers(0, JOBS - 1))
    def cancel(self, pick: int) -> None:
        job_id, expected = list(self.model.items())[pick]
        with self.sessions.begin() as session:
            if expected.status in (JobStatus.SUCCEEDED, JobStatus.FAILED):
                with pytest.raises(ConflictError):
                    job_control.cancel(session, job_id)
                return
            job_control.cancel(session, job_id)
        if expected.status != JobStatus.CANCELLED:
            expected.to(JobStatus.CANCELLED)

    @rule(pick=st.integers(0, JOBS - 1))
    def retry(self, pick: int) -> None:
        job_id, expected = list(self.model.items())[pick]
        with self.sessions.begin() as session:
            if expected.status not in job_control.REPEATABLE:
                with pytest.raises(ConflictError):
                    job_control.retry(session, job_id)
                return
            job_control.retry(session, job_id)
        expected.tries = 0
        expected.to(QUEUED)

    @invariant()
    def rows_and_ledger_say_what_the_model_says(self) -> None:
        with self.sessions() as session:
            rows = session.scalars(select(Job).where(Job.id.in_(self.model))).all()
            query = select(JobEvent).where(JobEvent.job_id.in_(self.model)).order_by(JobEvent.id)
            events = session.scalars(query).all()
        for row in rows:
            expected = self.model[row.id]
            assert (row.status, row.attempt) == (expected.status, expected.attempt)
            assert (row.attempt - row.spent_attempts, row.crash_count) == (expected.tries, expected.crashes)
            assert 0 <= expected.tries <= MAX_ATTEMPTS
            assert (row.lease_until is not None) == (row.status == RUNNING)
            assert (row.finished_at is not None) == (row.status not in (QUEUED, RUNNING))
            steps = [event for event in events if event.job_id == row.id]
            assert len(steps) == expected.changes
            assert [step.status_from for step in steps] == [None, *(step.status_to for step in steps[:-1])]
            assert steps[-1].status_to == row.status
            starts = Counter(step.attempt for step in steps if step.status_to == RUNNING)
            assert set(starts.values()) <= {1}, "an attempt number is given once"


def test_jobs_do_what_a_small_model_says_whoever_comes_in_whatever_order(
    sessions: sessionmaker[Session],
) -> None:
    class Machine(JobMachine):
        pass

    Machine.sessions = sessions
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,  # a failure stays a failure; other seeds are for a person to try
            database=None,
            phases=[Phase.generate],  # to make a failure small takes minutes; 40 steps can be read
            suppress_health_check=list(HealthCheck),
        ),
    )
