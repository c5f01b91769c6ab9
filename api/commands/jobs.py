"""Jobs that failed for good: which, in what stage and why; and having them run again."""

import argparse
import json
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from api.commands import CONNECTION_NAME, add_command
from api.presenters import job_json
from shared import audit, job_control, job_queries
from shared.errors import ConflictError, ValidationError
from shared.migrations.taken_over_work import NOT_TAKEN_OVER
from shared.models import Job, JobKind, JobStatus, Lane
from shared.queue import Hint, hints
from shared.services import Services, build_services
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands

ROWS_AT_ONCE = 500
WHICH = "Say which jobs: their ids, or --all."


def register(commands: "Commands") -> None:
    failed = add_command(
        commands,
        "list-failed-jobs",
        _list_failed,
        "jobs that failed for good, newest first: id, kind, stage, attempts, time, cause",
    )
    failed.add_argument(
        "--json", action="store_true", help="a JSON object per line, as GET /api/jobs shows it"
    )
    retry = add_command(
        commands,
        "retry-jobs",
        _retry,
        "have failed jobs run again, with all their attempts; no history is lost",
    )
    retry.add_argument("job_ids", metavar="JOB_ID", nargs="*", type=uuid.UUID, help="a cancelled one, too")
    retry.add_argument("--all", action="store_true", help="all that failed and can be done here")
    for command in (failed, retry):
        command.add_argument("--kind", type=JobKind, choices=list(JobKind), help="only jobs of this kind")
        command.add_argument("--code", help="only jobs that failed with this cause, such as WORKER_LOST")


def _list_failed(settings: Settings, options: argparse.Namespace) -> None:
    for job in _failed(build_services(settings, CONNECTION_NAME), options):
        if options.json:
            sys.stdout.write(json.dumps(job_json(job)) + "\n")
        else:
            ended = job.finished_at.isoformat(timespec="seconds") if job.finished_at else ""
            cause = f"{job.error_code}: {job.error_message}"
            sys.stdout.write(f"{job.id}\t{job.kind}\t{job.stage}\t{job.attempt}\t{ended}\t{cause}\n")


def _failed(services: Services, options: argparse.Namespace) -> Iterator[Job]:
    """Read in pages, each in a transaction of its own."""
    before = None
    while True:
        with services.sessions() as session:
            page = job_queries.page(session, ROWS_AT_ONCE, before, JobStatus.FAILED, options.kind)
        yield from (job for job in page if options.code in (None, job.error_code))
        if len(page) < ROWS_AT_ONCE:
            return
        before = page[-1].position


def _retry(settings: Settings, options: argparse.Namespace) -> None:
    if bool(options.job_ids) == options.all:
        raise ValidationError(WHICH)
    services = build_services(settings, CONNECTION_NAME)
    told: dict[tuple[JobKind, Lane], list[Hint]] = defaultdict(list)
    try:
        for job in _again(services, options):
            told[job.kind, job.lane] += hints([job])
    finally:  # what was queued before something went wrong runs, too
        for (kind, lane), waiting in told.items():
            services.queue.wake(kind, lane, waiting)
        sys.stdout.write(f"Queued again: {sum(map(len, told.values()))}\n")


def _again(services: Services, options: argparse.Namespace) -> Iterator[Job]:
    """The jobs, once they are queued, each in a transaction of its own."""
    if not options.all:
        yield from (_queued(services, job_id) for job_id in options.job_ids)
        return
    for job in _failed(services, options):
        if job.error_code == NOT_TAKEN_OVER:
            continue  # there is nothing to analyse
        try:
            yield _queued(services, job.id)
        except ConflictError:
            continue  # somebody else was faster


def _queued(services: Services, job_id: uuid.UUID) -> Job:
    with services.sessions.begin() as session:
        job = job_control.retry(session, job_id)
        audit.record(session, audit.CLI, "job.retried", f"job:{job_id}")
    return job
