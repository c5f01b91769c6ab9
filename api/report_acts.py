"""Asking for a report, for the JSON route and for pages."""

from collections.abc import Sequence
from typing import Any

from api.acts import note
from api.intake import refuse_if_full
from api.repeats import RepeatableRequest
from api.wiring import services
from shared import reports
from shared.errors import RepeatedRequestError
from shared.models import JobKind
from shared.queue import hints


def request_report(
    patient_id: int, scan_ids: Sequence[str] | None, once: RepeatableRequest
) -> dict[str, Any]:
    """`job_id` and `report_id` of the new report, or of the one that the same request asked for before.

    Raises what `shared.reports.request_report` does, `QueueFullError`, and `ConflictError` for a key that was
    used for something else.
    """
    earlier = once.earlier()
    if earlier is not None:
        return earlier
    refuse_if_full()
    built = services()
    try:
        with built.sessions.begin() as session:
            job = reports.request_report(session, patient_id, scan_ids)
            asked = {"job_id": str(job.id), "report_id": job.report.report_id if job.report else None}
            once.remember(session, asked)
            note(session, "report.requested", f"patient:{patient_id}", job=str(job.id))
    except RepeatedRequestError as error:
        return once.of_twin(error)
    built.queue.wake(JobKind.REPORT, job.lane, hints([job]))
    return asked
