"""Jobs that failed for good: which, in what stage and why; and having them run again."""

import argparse
import json
import sys
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from api.commands import CONNECTION_NAME, add_command
from api.presenters import job_json
from shared import audit, failed_jobs, job_control
from shared.errors import ValidationError
from shared.models import Job, JobKind
from shared.services import Services, build_services
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands

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
    services = build_services(settings, CONNECTION_NAME)
    for job in failed_jobs.every(services, options.kind, options.code):
        if options.json:
            sys.stdout.write(json.dumps(job_json(job)) + "\n")
        else:
            ended = job.finished_at.isoformat(timespec="seconds") if job.finished_at else ""
            cause = f"{job.error_code}: {job.error_message}"
            sys.stdout.write(f"{job.id}\t{job.kind}\t{job.stage}\t{job.attempt}\t{ended}\t{cause}\n")


def _retry(settings: Settings, options: argparse.Namespace) -> None:
    if bool(options.job_ids) == options.all:
        raise ValidationError(WHICH)
    services = build_services(settings, CONNECTION_NAME)
    wake_ups = failed_jobs.WakeUps(services.queue)
    try:
        for job in _again(services, options):
            wake_ups.add(job)
    finally:  # what was queued before something went wrong runs, too
        sys.stdout.write(f"Queued again: {wake_ups.send()}\n")


def _again(services: Services, options: argparse.Namespace) -> Iterator[Job]:
    """The jobs, once they are queued, each in a transaction of its own."""
    if not options.all:
        yield from (_queued(services, job_id) for job_id in options.job_ids)
        return
    failed = failed_jobs.every(services, options.kind, options.code)
    yield from failed_jobs.run_again(services, failed, _record)


def _queued(services: Services, job_id: uuid.UUID) -> Job:
    with services.sessions.begin() as session:
        job = job_control.retry(session, job_id)
        _record(session, job_id)
    return job


def _record(session: Session, job_id: uuid.UUID) -> None:
    audit.record(session, audit.CLI, "job.retried", f"job:{job_id}")
