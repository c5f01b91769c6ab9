"""Report jobs: claim -> gather rows and stored pictures -> PDF -> store -> record."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import ClassVar

from shared import reports, reviews
from shared.attempts import Claim
from shared.errors import ObjectNotFoundError, ValidationError
from shared.failpoints import failpoint
from shared.logs import get_logger
from shared.models import JobKind, Report, Scan, ScanReview, Stage
from shared.originals import read_original
from shared.results import REJECTED
from shared.services import Services
from worker import metrics
from worker.explanation import OUTSIDE_HEAD
from worker.one_by_one import OneByOne
from worker.report import (
    INCONCLUSIVE,
    NO_BRAIN_MRI,
    ModelFacts,
    PatientFacts,
    ReadingFacts,
    ReportFacts,
    ScanFacts,
    render_report,
)

log = get_logger(__name__)


class ReportRenderer(OneByOne):
    """Renders queued reports, one at a time."""

    kind: ClassVar[JobKind] = JobKind.REPORT

    def work(self, claim: Claim) -> None:
        services = self.services
        failpoint("report-claimed")
        self.enter(Stage.GATHER)
        with services.sessions() as session:
            report = reports.load_for_rendering(session, claim)
            scans = [scan for scan in report.scans if reports.is_reportable(scan)]
            readings = reviews.newest(session, [scan.id for scan in scans], report.created_at)
        self.enter(Stage.RENDER)
        pdf = render_report(report_facts(report, scans, readings, services, self.progress))
        failpoint("report-rendered")
        key = f"{report.report_id}.pdf"
        self.enter(Stage.STORE)
        services.reports.put(key, pdf, "application/pdf")
        failpoint("report-stored")
        with services.sessions.begin() as session:
            is_kept = reports.record(session, claim, key, scans)
        failpoint("report-recorded")
        self.tell_end(is_kept)
        metrics.REPORT_BYTES.observe(len(pdf))
        metrics.REPORT_SCANS.observe(len(scans))
        log.info("report rendered", scans=len(scans), bytes=len(pdf), kept=is_kept)


def report_facts(
    report: Report,
    scans: list[Scan],
    readings: Mapping[int, ScanReview],
    services: Services,
    on_picture: Callable[[], None],
) -> ReportFacts:
    """Rows -> the report's facts; pictures are fetched when their page is painted, each followed by a call
    of `on_picture`, since a long report takes longer than a lease.

    `readings`, by scans.id, are those that were there when the report was asked for, and the time is that of
    the request: the same report has the same bytes however often it is rendered.
    Raises `ValidationError` if no scan of the report was analysed.
    """
    if not scans:
        raise ValidationError(reports.NO_SCANS)
    patient = report.patient
    newest = _model_facts(scans[-1])
    return ReportFacts(
        report_id=report.report_id,
        generated_at=report.created_at,
        patient=PatientFacts(
            patient_id=patient.patient_id,
            name=patient.name,
            age=patient.age,
            gender=patient.gender,
            email=patient.email,
            phone=patient.phone,
        ),
        scans=[
            replace(
                _scan_facts(scan, services, newest, on_picture), reading=_reading_facts(readings.get(scan.id))
            )
            for scan in scans
        ],
        model=newest,
    )


def _scan_facts(
    scan: Scan, services: Services, newest: ModelFacts, on_picture: Callable[[], None]
) -> ScanFacts:
    model = _model_facts(scan)
    images = services.images
    original = partial(read_original, services, scan.original_path, scan.is_staged, scan.sha256)
    return ScanFacts(
        scan_id=scan.scan_id,
        filename=scan.original_filename,
        created_at=scan.created_at,
        analysed_at=scan.analysed_at,
        prediction=scan.prediction or (NO_BRAIN_MRI if scan.review == REJECTED else INCONCLUSIVE),
        probability=math.nan if scan.probability is None else scan.probability,
        confidence=math.nan if scan.confidence is None else scan.confidence,
        tumor_type=scan.tumor_type,
        review=scan.review,
        is_heat_outside_head=OUTSIDE_HEAD in (scan.explanation or {}).get("flags", []),
        original=_picture(original, on_picture),
        heatmap=_picture(partial(images.get, scan.heatmap_path) if scan.heatmap_path else bytes, on_picture),
        overlay=_picture(partial(images.get, scan.overlay_path) if scan.overlay_path else bytes, on_picture),
        model=None if model == newest else model,
    )


def _reading_facts(review: ScanReview | None) -> ReadingFacts | None:
    if review is None:
        return None
    return ReadingFacts(review.verdict, review.reader.username, review.at, review.comment)


def _picture(read: Callable[[], bytes], on_picture: Callable[[], None]) -> Callable[[], bytes]:
    def fetch() -> bytes:
        try:
            return read()
        except ObjectNotFoundError:
            return b""  # the page says that the picture is missing; the findings are still worth a report
        finally:
            on_picture()

    return fetch


def _model_facts(scan: Scan) -> ModelFacts:
    model = scan.model or {}
    return ModelFacts(
        name=str(model.get("name", "not recorded")),
        version=str(model.get("version", "not recorded")),
        weights_sha256=str(model.get("weights_sha256", "not recorded")),
        preprocessing_version=str(model.get("preprocessing_version", "not recorded")),
    )
