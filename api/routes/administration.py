"""The whole picture, for the staff: dashboard, all scans, all reports, the audit trail."""

from flask import jsonify
from flask_openapi3 import APIBlueprint, Tag

from api.auth import for_staff
from api.documentation import ERRORS
from api.paging import answer_list
from api.presenters import audit_json
from api.records import answer_all_reports, answer_all_scans
from api.schemas.administration import AuditAnswer, AuditQuery, StatsAnswer
from api.schemas.fields import PageQuery
from api.schemas.reports import AllReportsAnswer
from api.schemas.scans import AllScansAnswer
from api.view_result import ViewResult
from api.wiring import services
from shared import audit, stats

AUDIT_PAGE = 100

blueprint = APIBlueprint(
    "administration",
    __name__,
    url_prefix="/api/admin",
    abp_tags=[Tag(name="Administration")],
    abp_responses=ERRORS,
)


@blueprint.get("/dashboard", responses={200: StatsAnswer}, operation_id="dashboard")
@blueprint.get("/dashboard/stats", responses={200: StatsAnswer}, operation_id="dashboard_stats")
@for_staff
def get_stats() -> ViewResult:
    """Totals, scans by outcome, and how the queue stands."""
    built = services()
    with built.sessions() as session:
        return jsonify(success=True, data=stats.dashboard(session, built.settings.release_gate))


@blueprint.get("/scans", responses={200: AllScansAnswer})
@for_staff
def list_all_scans(query: PageQuery) -> ViewResult:
    """All scans, newest first; `explanation` is in the lists of one patient."""
    return answer_all_scans(query)


@blueprint.get("/reports", responses={200: AllReportsAnswer})
@for_staff
def list_all_reports(query: PageQuery) -> ViewResult:
    """All finished reports, newest first."""
    return answer_all_reports(query)


@blueprint.get("/audit", responses={200: AuditAnswer})
def list_audit_events(query: AuditQuery) -> ViewResult:
    """Who did what, newest first, a page at a time."""
    limit = query.limit or AUDIT_PAGE
    with services().sessions() as session:
        rows = audit.events(session, limit, query.cursor, query.actor, query.action, query.subject)
    return answer_list(rows, limit, lambda row: row.id, audit_json)
