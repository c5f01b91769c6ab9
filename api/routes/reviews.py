"""What readers of images say about scans, and what waits for them."""

from flask import jsonify
from flask_openapi3 import APIBlueprint, Tag

from api import review_acts
from api.acts import note
from api.auth import for_staff
from api.documentation import ERRORS
from api.paging import answer_list
from api.presenters import of_any_patient, review_json, scan_json
from api.schemas.fields import ScanPath
from api.schemas.reviews import ReviewAnswer, ReviewBody, ReviewsAnswer, WorklistQuery
from api.schemas.scans import AllScansAnswer
from api.view_result import ViewResult
from api.wiring import services
from shared import reviews, scans

WORKLIST_PAGE = 100

blueprint = APIBlueprint("reviews", __name__, abp_tags=[Tag(name="Reviews")], abp_responses=ERRORS)


@blueprint.get("/api/reviews/worklist", responses={200: AllScansAnswer})
@for_staff
def list_worklist(query: WorklistQuery) -> ViewResult:
    """Scans that wait for a reader's verdict, oldest first, a page at a time, without `explanation`."""
    limit = query.limit or WORKLIST_PAGE
    built = services()
    with built.sessions.begin() as session:
        rows = reviews.waiting(session, built.settings.release_gate, limit, query.cursor)
        note(session, "scan.listed", "worklist", rows=len(rows))
    return answer_list(
        rows,
        limit,
        lambda row: row[0].id,
        lambda row: of_any_patient(scan_json(*row, with_map=False), row[0].patient),
    )


@blueprint.post("/api/admin/scans/<int:scan_id>/review", responses={201: ReviewAnswer})
@for_staff
def add_review(path: ScanPath, body: ReviewBody) -> ViewResult:
    """Give a verdict; of several the newest counts. 409 where the scan was analysed again meanwhile."""
    return jsonify(success=True, data=review_json(review_acts.review(path.scan_id, body))), 201


@blueprint.get("/api/admin/scans/<int:scan_id>/reviews", responses={200: ReviewsAnswer})
@for_staff
def list_reviews(path: ScanPath) -> ViewResult:
    """All reviews of a scan, newest first."""
    with services().sessions.begin() as session:
        scan = scans.get_scan(session, path.scan_id)
        found = reviews.of_scan(session, scan.id)
        note(session, "review.listed", f"scan:{scan.id}", rows=len(found))
    return jsonify(success=True, data=[review_json(review) for review in found])
