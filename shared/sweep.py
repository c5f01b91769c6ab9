"""What gets stuck is found again: expired leases and forgotten rows. What is kept for a time only goes.

Runs from beat and from every worker's heartbeat. An advisory lock lets one run at a time; more runs than
needed do no harm.
"""

from sqlalchemy import text

from shared import heartbeat, idempotency, job_queries, jobs, login_throttle, mails
from shared.logs import get_logger
from shared.metrics import upkeep
from shared.models import JobKind, Lane
from shared.services import Services

ADVISORY_LOCK = 7_204_511_903
FORGOTTEN_AFTER_S = 5.0
HINTS_PER_SWEEP = 4

log = get_logger(__name__)


def sweep(services: Services) -> None:
    """Give jobs of lost workers back and wake workers for due rows that have waited too long."""
    settings = services.settings
    forgotten = {}
    with services.sessions.begin() as session:
        if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}):
            upkeep.SWEEPS.labels(upkeep.OTHERS_TURN).inc()
            return
        bounds = dict.fromkeys(JobKind, settings.max_attempts) | {JobKind.MAIL: mails.max_attempts(settings)}
        expired = sum(
            jobs.expire_leases(session, bound, settings.retry_seconds, kind) for kind, bound in bounds.items()
        )
        heartbeat.forget_silent(session)
        mails.forget_secrets(session)
        idempotency.forget_old(session, settings.idempotency_days)
        login_throttle.forget_old(session, settings.login_window_seconds)
        for kind, lane in (
            (JobKind.SCAN, Lane.INTERACTIVE),
            (JobKind.SCAN, Lane.BULK),
            (JobKind.REPORT, Lane.INTERACTIVE),
            (JobKind.MAIL, Lane.INTERACTIVE),
        ):
            limit = HINTS_PER_SWEEP * (settings.batch_size if kind == JobKind.SCAN else 1)
            forgotten[kind, lane] = job_queries.waiting(session, kind, lane, FORGOTTEN_AFTER_S, limit)
    upkeep.SWEEPS.labels(upkeep.RAN).inc()
    upkeep.EXPIRED.inc(expired)
    if expired:
        log.warning("jobs taken from silent workers", jobs=expired)
    for (kind, lane), waiting in forgotten.items():
        if waiting and services.queue.waiting_hints(kind, lane) < HINTS_PER_SWEEP:
            upkeep.FORGOTTEN.labels(kind, lane).inc(len(waiting))
            services.queue.wake(kind, lane, waiting)
