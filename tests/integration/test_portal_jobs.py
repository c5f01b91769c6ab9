"""The staff's pages of jobs: what failed and why, lists, one job with its ledger, and acting on them."""

import re
import uuid

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from api.portal import staff_jobs
from api.portal.job_words import CAUSES, cause_of
from shared import errors, jobs
from shared.attempts import Failure
from shared.migrations.taken_over_work import NOT_TAKEN_OVER
from shared.models import AuditEvent, Job, JobKind, JobStatus, Stage
from shared.services import Services
from tests.fakes import RecordingQueue
from tests.integration.portal import GERMAN, Outline, post
from tests.integration.sending import pictures, send
from worker.pipeline import ScanPipeline

PAGE = "/portal/jobs"
CAUSE = "The image store does not answer."


@pytest.fixture
def sent(admin: FlaskClient, patient_id: int, services: Services) -> list[str]:
    """Four jobs, oldest first: one met a refusal, two lost their worker, one waits."""
    job_ids: list[str] = send(admin, patient_id, *pictures(4)).json["job_ids"]
    with services.sessions.begin() as session:
        first, *_ = jobs.claim(session, JobKind.SCAN, "a worker", 3, lease_seconds=-1)
        failure = Failure(first, "SERVICE_UNAVAILABLE", CAUSE, stage=Stage.FETCH)
        jobs.fail(session, [failure], max_attempts=4, retry_seconds=0)
        jobs.expire_leases(session, max_attempts=1, retry_seconds=0)
    return job_ids


def statuses(services: Services, job_ids: list[str]) -> list[str]:
    with services.sessions() as session:
        found = dict(session.execute(select(Job.id, Job.status)).all())
    return [found[uuid.UUID(job_id)] for job_id in job_ids]


def listed(page: str) -> list[str]:
    """The ids of the jobs in the list, in its order."""
    return re.findall(r'<th scope="row"><a id="job-([^"]+)"', page)


def run_all(client: FlaskClient, code: str) -> TestResponse:
    return post(client, f"{PAGE}/retry-failed", kind="scan", code=code)


def test_what_failed_comes_first_by_cause_in_words(
    admin: FlaskClient, reader: FlaskClient, sent: list[str]
) -> None:
    page = admin.get(PAGE).text
    causes, everything = page.split('id="list"')
    for words in (
        "The worker stopped in the middle of the work",
        "A store did not answer",
        "WORKER_LOST",
        CAUSE,
    ):
        assert words in causes
    assert "Run all 2 again" in causes
    assert f"{PAGE}?status=failed&amp;kind=scan&amp;code=WORKER_LOST" in causes
    assert listed(everything) == sent[::-1]
    assert "again</button>" not in re.sub(r"<span.*?</span>", "", reader.get(PAGE).text)
    assert "Der Worker endete mitten in der Arbeit" in admin.get(PAGE, headers=GERMAN).text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=failed", [2, 1, 0]),
        ("status=failed&kind=scan&code=WORKER_LOST", [2, 1]),
        ("status=queued", [3]),
        ("kind=report", []),
        ("status=nonsense&kind=%00&code=%00", [3, 2, 1, 0]),
        ("status=failed&code=%00", [2, 1, 0]),
    ],
)
def test_filters_choose(admin: FlaskClient, sent: list[str], query: str, expected: list[int]) -> None:
    page = admin.get(f"{PAGE}?{query}")
    assert page.status_code == 200
    assert listed(page.text) == [sent[place] for place in expected]


def test_pages_of_the_list_keep_the_filters(
    admin: FlaskClient, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff_jobs, "JOBS_ON_PAGE", 2)
    first = admin.get(f"{PAGE}?status=failed").text
    [older] = [link["href"] for link in Outline(first).all("a") if link.get("rel") == "next"]
    second = admin.get(str(older)).text
    assert (listed(first), listed(second)) == (sent[2:0:-1], sent[:1])
    assert 'id="causes"' not in second


def test_all_with_one_cause_run_again_so_many_at_once(
    admin: FlaskClient,
    services: Services,
    queue: RecordingQueue,
    sent: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(staff_jobs, "MOST_AT_ONCE", 1)
    queue.sent.clear()
    answer = run_all(admin, "WORKER_LOST")
    assert (answer.status_code, answer.location) == (303, f"{PAGE}?again=1")
    assert statuses(services, sent) == ["failed", "failed", "queued", "queued"]
    assert [ids for _, _, ids in queue.sent] == [[uuid.UUID(sent[2])]]
    assert "press again" in admin.get(answer.location).text
    run_all(admin, "WORKER_LOST")
    assert statuses(services, sent) == ["failed", "queued", "queued", "queued"]
    assert run_all(admin, "WORKER_LOST").location == f"{PAGE}?again=0"
    with services.sessions() as session:
        acts = session.scalars(
            select(AuditEvent.subject).where(AuditEvent.action == "job.retried").order_by(AuditEvent.id)
        )
        assert list(acts) == [f"job:{sent[2]}", f"job:{sent[1]}"]


@pytest.mark.parametrize("fields", [{}, {"kind": "scan"}, {"kind": "x", "code": "WORKER_LOST"}])
def test_without_a_cause_nothing_runs_again(
    admin: FlaskClient, services: Services, sent: list[str], fields: dict[str, str]
) -> None:
    assert post(admin, f"{PAGE}/retry-failed", **fields).status_code == 404
    assert statuses(services, sent)[:3] == ["failed"] * 3


def test_what_nothing_was_taken_over_for_is_not_offered(
    admin: FlaskClient, services: Services, sent: list[str]
) -> None:
    with services.sessions.begin() as session:
        failed = update(Job).where(Job.status == JobStatus.FAILED)
        session.execute(failed.values(error_code=NOT_TAKEN_OVER))
    assert "/retry-failed" not in admin.get(PAGE).text
    assert "/retry" not in admin.get(f"{PAGE}/{sent[0]}").text
    assert run_all(admin, NOT_TAKEN_OVER).location == f"{PAGE}?again=0"


def test_one_job_shows_its_course_and_runs_again(
    admin: FlaskClient, reader: FlaskClient, sent: list[str], pipeline: ScanPipeline
) -> None:
    address = f"{PAGE}/{sent[0]}"
    page = admin.get(address).text
    for words in (
        "Failed for good",
        "fetching the picture",
        CAUSE,
        "does not pass by itself",
        "/portal/batches/",
    ):
        assert words in page
    assert "It used up" not in page
    assert "/retry" not in reader.get(address).text
    assert "took" in page
    answer = post(admin, f"{address}/retry")
    assert (answer.status_code, answer.location) == (303, address)
    waiting = admin.get(address).text
    assert f'data-jobs="{sent[0]}=queued"' in waiting
    assert "It is the next one." in waiting
    pipeline.drain()
    done = admin.get(address).text
    assert 'data-jobs=""' in done
    assert "Succeeded" in done


def test_a_job_ends_where_it_waits_and_late_presses_say_so(
    admin: FlaskClient, services: Services, sent: list[str]
) -> None:
    address = f"{PAGE}/{sent[3]}"
    assert "2 older jobs" not in admin.get(address).text
    assert post(admin, f"{address}/cancel").status_code == 303
    assert statuses(services, sent)[3] == "cancelled"
    assert post(admin, f"{address}/retry").status_code == 303
    late = post(admin, f"{address}/retry")
    assert late.status_code == 409
    assert "Nothing was changed" in late.text
    assert post(admin, f"{PAGE}/{sent[0]}/cancel").status_code == 409


@pytest.mark.parametrize("job_id", ["nonsense", "00000000-0000-4000-8000-000000000000"])
def test_unknown_jobs_are_404(admin: FlaskClient, job_id: str) -> None:
    assert admin.get(f"{PAGE}/{job_id}").status_code == 404
    assert post(admin, f"{PAGE}/{job_id}/retry").status_code == 404


def test_every_code_that_a_worker_writes_has_its_words() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    written = {kind.code for kind in kinds if issubclass(kind, errors.BrainScanError)}
    of_requests = {
        "INTERNAL_SERVER_ERROR",
        "VALIDATION_ERROR",
        "AUTHENTICATION_ERROR",
        "AUTHORIZATION_ERROR",
        "CONFLICT_ERROR",
        "RATE_LIMITED",
    }
    assert written - of_requests <= set(CAUSES)
    assert cause_of("NEVER_SEEN") == cause_of(None)
