"""The links at the top of every page. A page that belongs there gets a line here."""

from dataclasses import dataclass, field

from api.portal.language import mark
from shared.logins import STAFF, Role


@dataclass(frozen=True, slots=True)
class Link:
    """`also`: endpoints of pages that are reached from this one and count as the same place."""

    endpoint: str
    text: str
    roles: frozenset[Role]
    also: frozenset[str] = field(default=frozenset())


PATIENTS = frozenset({Role.PATIENT})
LINKS = (
    Link("patient_pages.list_scans", mark("My scans"), PATIENTS, frozenset({"patient_pages.show_scan"})),
    Link("patient_pages.list_reports", mark("My reports"), PATIENTS),
    # In this order: dashboard, worklist, patients, upload, scans, batches, reports, jobs, audit trail, system.
    Link("start.staff", mark("Start"), STAFF),
    Link("review_pages.show_worklist", mark("Worklist"), STAFF),
)


def links_for(role: Role, endpoint: str | None) -> list[dict[str, object]]:
    """What somebody with this role sees while at this endpoint."""
    return [
        {
            "endpoint": link.endpoint,
            "text": link.text,
            "is_current": endpoint == link.endpoint or endpoint in link.also,
        }
        for link in LINKS
        if role in link.roles
    ]
