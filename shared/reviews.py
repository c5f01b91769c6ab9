"""What readers of images say about scans. Functions take a session and never commit.

The model's result is never changed, and no review either: the newest counts. The row of the scan repeats it,
so that lists, the worklist and the release to patients need no other table.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session, joinedload

from shared.errors import ConflictError, NotFoundError, ValidationError
from shared.models import Job, ReaderVerdict, Scan, ScanReview
from shared.results import NEEDS_REVIEW
from shared.scans import with_jobs

MAX_COMMENT = 1000  # characters: the PDF shows it whole
NO_RESULT = "This scan has no result yet, so there is nothing to review."
OUTDATED = "This scan was analysed again meanwhile. Look at the new result first."
COMMENT_NEEDED = "Say in a comment why the program's result is not right."
COMMENT_TOO_LONG = f"The comment has more than {MAX_COMMENT} characters."


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader says about the result that was analysed at `analysed_at`."""

    verdict: ReaderVerdict
    comment: str | None
    analysed_at: datetime  # to the millisecond, as clients are told


def add(session: Session, scan_id: int, admin_id: int, reading: Reading) -> ScanReview:
    """Keep a verdict. Of two readers at once the later one counts; the same again is kept once.

    Raises `NotFoundError`, `ConflictError` where the reader has not seen the present result, and
    `ValidationError` for a missing or too long comment.
    """
    scan = session.scalar(select(Scan).where(Scan.id == scan_id).with_for_update())
    if scan is None:
        raise NotFoundError("Scan not found")
    if scan.analysed_at is None:
        raise ConflictError(NO_RESULT)
    if _milliseconds(scan.analysed_at) != _milliseconds(reading.analysed_at):
        raise ConflictError(OUTDATED)
    agrees = None if scan.prediction is None else scan.prediction == reading.verdict
    comment = _checked_comment(reading.comment, is_needed=agrees is False)
    newest = next(iter(of_scan(session, scan_id, limit=1)), None) if scan.reader_verdict else None
    if newest and (newest.admin_id, newest.verdict, newest.comment) == (admin_id, reading.verdict, comment):
        return newest
    return _add(
        session, scan, ScanReview(admin_id=admin_id, verdict=reading.verdict, comment=comment, agrees=agrees)
    )


def of_scan(session: Session, scan_id: int, limit: int | None = None) -> list[ScanReview]:
    """All reviews of a scan with their readers, newest first."""
    query = select(ScanReview).where(ScanReview.scan_id == scan_id).options(joinedload(ScanReview.reader))
    return list(session.scalars(query.order_by(ScanReview.id.desc()).limit(limit)))


def newest(session: Session, scan_ids: Collection[int], until: datetime) -> dict[int, ScanReview]:
    """The review that counts for each scan that has one, with its reader; of those made until then."""
    query = (
        select(ScanReview)
        .join(Scan, Scan.id == ScanReview.scan_id)
        .where(ScanReview.scan_id.in_(scan_ids), ScanReview.at <= until, Scan.reader_verdict.is_not(None))
        .where(
            ScanReview.prediction.is_not_distinct_from(Scan.prediction),
            ScanReview.review.is_not_distinct_from(Scan.review),
        )
        .order_by(ScanReview.id)  # so that the last one stays in the dictionary
        .options(joinedload(ScanReview.reader))
    )
    return {review.scan_id: review for review in session.scalars(query)}


def waiting(session: Session, with_all: bool, limit: int, after: int | None = None) -> list[tuple[Scan, Job]]:
    """The worklist: scans without a verdict, oldest first, from after scans.id `after`; without their maps.

    Those that the model left to a person; `with_all`: every one that was analysed.
    """
    query = with_jobs(with_maps=False).where(is_waiting(with_all)).order_by(Scan.id).limit(limit)
    if after is not None:
        query = query.where(Scan.id > after)
    return [(scan, job) for scan, job in session.execute(query)]


def next_waiting(session: Session, with_all: bool, after: int) -> int | None:
    """The scan of the worklist that comes after this one, or else its first; None if nothing waits."""
    query = select(Scan.id).where(is_waiting(with_all)).order_by(Scan.id).limit(1)
    later = session.scalar(query.where(Scan.id > after))
    return session.scalar(query) if later is None else later


def count_waiting(session: Session, with_all: bool) -> int:
    """How long the worklist is."""
    query = select(func.count()).select_from(Scan).where(is_waiting(with_all))
    return session.execute(query).scalar_one()


def statistics(session: Session, with_all: bool) -> dict[str, int]:
    """How many scans wait for a reader, and how many have a verdict that counts."""
    counts = select(
        func.count(),
        func.count().filter(Scan.reader_agrees.is_(True)),
        func.count().filter(Scan.reader_agrees.is_(False)),
    ).where(Scan.reader_verdict.is_not(None))
    reviewed, agreed, overridden = session.execute(counts).one()
    waits = count_waiting(session, with_all)
    return {"waiting": waits, "reviewed": reviewed, "agreed": agreed, "overridden": overridden}


def is_waiting(with_all: bool) -> ColumnElement[bool]:
    """As the partial indexes `ix_scans_unread` and `ix_scans_undecided` have it."""
    is_meant = Scan.analysed_at.is_not(None) if with_all else Scan.review == NEEDS_REVIEW
    return is_meant & Scan.reader_verdict.is_(None)


def _add(session: Session, scan: Scan, review: ScanReview) -> ScanReview:
    review.scan_id = scan.id
    review.prediction, review.probability, review.review = scan.prediction, scan.probability, scan.review
    review.model_version = (scan.model or {}).get("version")
    session.add(review)
    session.flush()
    session.execute(
        update(Scan)
        .where(Scan.id == scan.id)
        .values(reader_verdict=review.verdict, reader_agrees=review.agrees, reviewed_at=review.at)
    )
    session.refresh(review, ["reader"])
    return review


def _checked_comment(comment: str | None, is_needed: bool) -> str | None:
    cleaned = (comment or "").replace("\r\n", "\n").strip() or None
    if cleaned is None and is_needed:
        raise ValidationError(COMMENT_NEEDED, "comment")
    if cleaned is not None and len(cleaned) > MAX_COMMENT:
        raise ValidationError(COMMENT_TOO_LONG, "comment")
    return cleaned


def _milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
