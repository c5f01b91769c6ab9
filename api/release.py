"""The release gate of this request: what a reader has not judged is not shown, but to the staff."""

import uuid
from collections.abc import Sequence

from api.auth import caller_or_none
from api.presenters import Json
from api.wiring import services
from shared import reports, scans
from shared.logins import Caller
from shared.models import Job, JobKind
from shared.polled_jobs import PolledJob
from shared.settings import Settings

NO_REPORT = {"code": "NOT_RELEASED", "message": "There is no report before a reader has judged the scans."}


def is_gated(settings: Settings, who: Caller | None) -> bool:
    """True where this caller sees released scans and reports only; strangers are gated like patients."""
    return settings.release_gate and not (who is not None and who.is_staff)


def sees_only_released() -> bool:
    """`is_gated` of whoever sent this request."""
    return is_gated(services().settings, caller_or_none())


def held_back(jobs: Sequence[Job | PolledJob]) -> set[uuid.UUID]:
    """Those of the jobs whose result the caller may not see yet."""
    if not sees_only_released():
        return set()
    with services().sessions() as session:
        of_scans = scans.unreleased(session, {job.scan.id for job in jobs if job.scan})
        of_reports = reports.unreleased(session, {job.report.id for job in jobs if job.report})
    return {
        job.id
        for job in jobs
        if (job.scan and job.scan.id in of_scans) or (job.report and job.report.id in of_reports)
    }


def without_result(body: Json) -> Json:
    """A job's JSON object that tells that it has ended, and no more: a missing report tells of its scans."""
    error = body["error"] if body["kind"] == JobKind.SCAN else body["error"] and NO_REPORT
    return {**body, "result": None, "error": error}
