"""Which jobs may be claimed, oldest first."""

import uuid

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import aliased

from shared.models import UNFINISHED, Job, JobStatus, report_scans

_OTHER_JOB = aliased(Job)  # made once: an alias costs more than the query that it is for


def is_ready() -> ColumnElement[bool]:
    """A report waits until no scan that it covers is still being worked on."""
    return or_(
        Job.report_id.is_(None),
        ~exists()
        .where(report_scans.c.report_id == Job.report_id, report_scans.c.scan_id == _OTHER_JOB.scan_id)
        .where(_OTHER_JOB.status.in_(UNFINISHED)),
    )


def _due(only: ColumnElement[bool]) -> Select[uuid.UUID]:
    """The oldest due jobs that nobody else is taking."""
    return (
        select(Job.id)
        .where(
            Job.kind == bindparam("kind"),
            Job.status == JobStatus.QUEUED,
            Job.run_after <= func.now(),
            only,
            is_ready(),
        )
        .order_by(Job.position)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )


# Made once: before each batch they would take as long as their answers. To be asked with a kind and a limit.
SUSPECTS = _due(Job.crash_count > 0)
FRESH = _due(and_(Job.lane == bindparam("lane"), Job.crash_count == 0))
