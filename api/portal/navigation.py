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
ADMINS = frozenset({Role.ADMIN})
LINKS = (
    Link("patient_pages.list_scans", mark("My scans"), PATIENTS, frozenset({"patient_pages.show_scan"})),
    Link("patient_pages.list_reports", mark("My reports"), PATIENTS),
    # The staff's: dashboard, worklist, patients, upload, scans, batches, reports, jobs, audit trail, system.
    Link("dashboard_pages.dashboard", mark("Dashboard"), STAFF),
    Link("review_pages.show_worklist", mark("Worklist"), STAFF, frozenset({"review_pages.send_review"})),
    Link(
        "staff_patient_pages.list_patients",
        mark("Patients"),
        STAFF,
        frozenset(
            {
                "staff_patient_pages.show_patient",
                "staff_patient_pages.search_patients",
                "patient_change_pages.new_patient",
                "patient_change_pages.create_patient",
                "patient_change_pages.edit_patient",
                "patient_change_pages.update_patient",
                "patient_change_pages.confirm_reset",
                "patient_change_pages.reset_password",
            }
        ),
    ),
    Link(
        "upload_pages.upload_form",
        mark("Upload"),
        ADMINS,
        frozenset({"upload_pages.choose_patient", "upload_pages.send"}),
    ),
    Link("staff_scan_pages.list_scans", mark("Scans"), STAFF, frozenset({"staff_scan_pages.show_scan"})),
    Link(
        "staff_batch_pages.list_batches",
        mark("Batches"),
        STAFF,
        frozenset({"staff_batch_pages.show_batch", "staff_batch_pages.confirm_cancel"}),
    ),
    Link(
        "staff_report_pages.list_reports",
        mark("Reports"),
        STAFF,
        frozenset({"staff_report_pages.show_report", "staff_report_pages.request_report"}),
    ),
    Link("staff_job_pages.list_jobs", mark("Jobs"), STAFF, frozenset({"staff_job_pages.show_job"})),
    Link("audit_pages.list_events", mark("Audit trail"), ADMINS),
    Link("system_pages.show_system", mark("System"), STAFF),
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
