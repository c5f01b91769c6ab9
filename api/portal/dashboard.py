"""The first page of the staff: how much there is, how the work goes, what failed, what is new."""

from dataclasses import dataclass
from datetime import datetime

from flask import Response, request
from sqlalchemy.orm import Session

from api.auth import for_staff
from api.portal import figures, places
from api.portal.charts import Part, columns, shares
from api.portal.figures import Figures
from api.portal.job_words import JobView, view_of
from api.portal.pages import page_blueprint, show
from api.portal.scan_words import Outcome, outcome_of
from api.wiring import services
from shared import job_queries, last_day, scans
from shared.models import Job, JobKind, JobStatus, Scan

EVERY_SECONDS = 5
ROWS_SHOWN = 6
RESULTS = {  # of `scan_stats`, as the chart shows them
    "tumor": "tumor_count",
    "no_tumor": "no_tumor_count",
    "needs_review": "needs_review_count",
    "rejected": "rejected_count",
}

blueprint = page_blueprint("dashboard_pages")


@dataclass(frozen=True, slots=True)
class Work:
    """How the queue of one kind of job stands."""

    kind: str
    waiting: int
    running: int
    last_minute: int


@dataclass(frozen=True, slots=True)
class NewScan:
    """A line about a scan. `page`: its address."""

    id: int
    scan_id: str
    outcome: Outcome
    created_at: datetime
    page: str | None


@dataclass(frozen=True, slots=True)
class News:
    """The newest rows, read anew for every look; nothing here says whose they are."""

    failures: list[JobView]
    scans: list[NewScan]


@blueprint.get("/staff")
@for_staff
def dashboard() -> Response:
    """Figures, charts and news; before there is anything, what to do first."""
    known = figures.current()
    with services().sessions() as session:
        news = _news(session)
    return show(
        "dashboard.html",
        known=known,
        news=news,
        results=_results(known),
        bars=columns(known.day.hours),
        outcomes=last_day.OUTCOMES,
        work=_work(known),
        is_empty=not (known.stats["total_patients"] or known.stats["total_scans"]),
        every=None if request.args.get("live") == "off" else EVERY_SECONDS,
    )


def _news(session: Session) -> News:
    failed = job_queries.page(session, ROWS_SHOWN, None, JobStatus.FAILED)
    newest = scans.page(session, ROWS_SHOWN, with_maps=False)
    return News(
        failures=[view_of(job) for job in failed],
        scans=[_line(scan, job) for scan, job in newest],
    )


def _line(scan: Scan, job: Job) -> NewScan:
    return NewScan(
        scan.id, scan.scan_id, outcome_of(scan, job), scan.created_at, places.page_of(f"scan:{scan.id}")
    )


def _results(known: Figures) -> list[Part]:
    stats = known.stats["scan_stats"]
    return shares({name: stats[count] for name, count in RESULTS.items()})


def _work(known: Figures) -> list[Work]:
    queue = known.stats["queue"]
    return [
        Work(kind, queue[JobStatus.QUEUED][kind], queue[JobStatus.RUNNING][kind], known.last_minute[kind])
        for kind in JobKind
    ]
