"""Giving a verdict, for the JSON route and for the page."""

from api.acts import note
from api.auth import caller
from api.schemas.reviews import ReviewBody
from api.wiring import services
from shared import reviews
from shared.models import ReaderVerdict, ScanReview
from shared.reviews import Reading


def review(scan_id: int, body: ReviewBody) -> ScanReview:
    """Keep the caller's verdict. Raises what `reviews.add` raises."""
    reading = Reading(ReaderVerdict(body.verdict), body.comment, body.analysed_at)
    with services().sessions.begin() as session:
        kept = reviews.add(session, scan_id, caller().id, reading)
        note(session, "scan.reviewed", f"scan:{scan_id}", review=kept.id)
    return kept
