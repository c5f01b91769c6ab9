"""Reviews by readers of images: the worklist, and the form on a scan's page.

A page that shows a scan to the staff passes `review=review_facts(session, scan)` to its template and has
`{% include "review_form.html" %}` where the reviews belong.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from flask import Response, request
from pydantic import ValidationError as PydanticError
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WerkzeugResponse

from api import review_acts
from api.acts import note
from api.auth import for_staff
from api.portal.error_pages import sentence
from api.portal.language import gettext
from api.portal.lists import position, split
from api.portal.pages import go_to, page_blueprint, show
from api.portal.scan_words import alone, in_list
from api.presenters import iso
from api.schemas.reviews import ReviewBody
from api.wiring import services
from shared import reviews, scans
from shared.errors import ConflictError, ValidationError
from shared.models import ReaderVerdict, Scan

ROWS_ON_PAGE = 25

blueprint = page_blueprint("review_pages")


@dataclass(frozen=True, slots=True)
class EarlierReview:
    """`agrees`: with the program; None where it had given no prediction."""

    reader: str
    verdict: ReaderVerdict
    comment: str | None
    at: datetime
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """What the form shows. `token` names the result that the reader sees; None: there is none to review."""

    scan_id: int
    token: str | None
    prediction: str | None
    earlier: list[EarlierReview]
    verdicts: tuple[ReaderVerdict, ...] = tuple(ReaderVerdict)
    most: int = reviews.MAX_COMMENT
    chosen: str = ""
    comment: str = ""
    wrong: Mapping[str, str] = field(default_factory=dict)


def review_facts(session: Session, scan: Scan) -> ReviewFacts:
    """Earlier reviews, newest first, and what a new one needs."""
    earlier = [
        EarlierReview(row.reader.username, ReaderVerdict(row.verdict), row.comment, row.at, row.agrees)
        for row in reviews.of_scan(session, scan.id)
    ]
    return ReviewFacts(scan.id, iso(scan.analysed_at), scan.prediction, earlier)


@blueprint.get("/worklist")
@for_staff
def show_worklist() -> Response:
    """Scans that wait for a verdict, oldest first."""
    built = services()
    is_gated, after = built.settings.release_gate, position("after")
    with built.sessions.begin() as session:
        rows = reviews.waiting(session, is_gated, ROWS_ON_PAGE + 1, after)
        count = reviews.count_waiting(session, is_gated)
        note(session, "scan.listed", "worklist", rows=min(len(rows), ROWS_ON_PAGE))
        shown, later = split(rows, ROWS_ON_PAGE, lambda row: row[0].id)
        views = [(in_list(scan, job), scan.patient.patient_id) for scan, job in shown]
    return show(
        "worklist.html", rows=views, count=count, later=later, is_first=after is None, is_gated=is_gated
    )


@blueprint.post("/staff/scans/<int:scan_id>/review")
@for_staff
def send_review(scan_id: int) -> WerkzeugResponse:
    """Take the verdict and lead back to the scan, or on to the next one; or say beside the fields why not."""
    try:
        review_acts.review(scan_id, ReviewBody.model_validate(request.form.to_dict()))
    except PydanticError as error:
        return _form_page(scan_id, 400, _wrong_fields(error))
    except ValidationError as error:
        return _form_page(scan_id, 400, {error.field or "form": sentence(error)})
    except ConflictError as error:
        return _form_page(scan_id, 409, {"form": sentence(error)})
    if request.form.get("then") != "next":
        return go_to("staff_scan_pages.show_scan", scan_id=scan_id)
    built = services()
    with built.sessions() as session:
        following = reviews.next_waiting(session, built.settings.release_gate, scan_id)
    if following is None:
        return go_to("review_pages.show_worklist")
    return go_to("staff_scan_pages.show_scan", scan_id=following)


def _form_page(scan_id: int, status: int, wrong: dict[str, str]) -> Response:
    """The scan as it is now, with the form as it was sent."""
    with services().sessions.begin() as session:
        scan = scans.get_scan(session, scan_id)
        [(scan, job)] = scans.page(session, 1, scan_id + 1, scan.patient_id)
        facts = review_facts(session, scan)
        note(session, "scan.viewed", f"scan:{scan_id}")
        view = alone(scan, job)
    chosen, comment = request.form.get("verdict", ""), request.form.get("comment", "")
    sent = replace(facts, chosen=chosen, comment=comment, wrong=wrong)
    return show("review.html", status, scan=view, review=sent)


def _wrong_fields(error: PydanticError) -> dict[str, str]:
    words = {
        "verdict": gettext("Choose one of these."),
        "comment": gettext("The comment holds characters that no text may have."),
    }
    fields = [str(problem["loc"][0]) for problem in error.errors(include_input=False, include_url=False)]
    wrong = {name: words[name] for name in fields if name in words}
    return wrong or {"form": sentence(ConflictError(reviews.OUTDATED))}
