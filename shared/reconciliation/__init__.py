"""Brings database and stores to agree: nothing stored that no row names, nothing named that is not stored.

An upload is stored before its row is committed, and a picture before its result: what is younger than a given
age, or belongs to unfinished work, is let be. Rows taken over from the replaced system are not judged.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import func, select

from shared import audit
from shared.reconciliation import missing, orphans
from shared.reconciliation.findings import Finding, Kind
from shared.reconciliation.inventory import taken
from shared.reconciliation.plausibility import refuse_strangers
from shared.reconciliation.repairs import Repairs
from shared.services import Services

__all__ = ["Finding", "Kind", "reconcile"]

RECONCILED = "stores.reconciled"


def reconcile(
    services: Services, repair: bool, older_than: timedelta, even_if_most_disagrees: bool = False
) -> Iterator[Finding]:
    """Everything that is wrong, repaired one by one if `repair`; then the audit trail tells how many.

    Raises `ConflictError` while another run is going on, and what the stores raise. A run that ends so has
    repaired what it has told of, and is simply run again. A repair also raises it, and repairs nothing, where
    most of what rows name is missing or most of what is stored is unknown, unless `even_if_most_disagrees`.
    """
    found: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    repairs = Repairs(services, repair)
    try:
        for finding in _findings(services, repairs, older_than, even_if_most_disagrees):
            found[finding.kind.name.lower()] += 1
            repaired[finding.kind.name.lower()] += finding.is_repaired
            yield finding
    finally:
        repairs.wake_workers()
        if repair:
            details = {"found": dict(found), "repaired": dict(+repaired)}
            with services.sessions.begin() as session:
                audit.record(session, audit.CLI, RECONCILED, "stores", details=details)


def _findings(
    services: Services, repairs: Repairs, older_than: timedelta, even_if_most_disagrees: bool
) -> Iterator[Finding]:
    with taken(services) as session:
        before = session.execute(select(func.now() - older_than)).scalar_one()
        session.commit()
        if repairs.are_wanted and not even_if_most_disagrees:
            refuse_strangers(session, before)
        yield from orphans.find(services, session, before, repairs.are_wanted)
        yield from orphans.find_parts(services, before, repairs.are_wanted)
        yield from missing.find_unasked(services, session, repairs)
        yield from missing.find_originals(services, session, repairs)
        yield from missing.find_pictures(services, session, repairs)
        yield from missing.find_reports(services, session, repairs)
