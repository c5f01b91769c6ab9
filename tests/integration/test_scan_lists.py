"""What lists of scans and reports say while there is no finding, and where their pictures are."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from shared.models import JobKind
from shared.services import Services
from tests.fakes import MadeUpModel, RecordingQueue
from tests.integration.sending import new_patient, pictures, send
from tests.integration.test_jobs import pages_of
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

SCAN_KEYS = {
    "id",
    "patient_id",
    "scan_id",
    "original_filename",
    "original_path",
    "heatmap_path",
    "overlay_path",
    "prediction",
    "confidence",
    "probability",
    "report_path",
    "created_at",
    "status",
    "review",
    "job_id",
    "tumor_type",
    "class_probabilities",
    "model",
    "explanation",
}
REPORT_KEYS = {
    "id",
    "patient_id",
    "report_id",
    "report_path",
    "scan_count",
    "tumor_count",
    "no_tumor_count",
    "created_at",
}
OUTCOMES = {
    # name: (status, review, prediction, are there pictures of the finding)
    "tumor": ("succeeded", None, "Tumor", True),
    "no tumor": ("succeeded", None, "No Tumor", True),
    "unclear": ("succeeded", "needs_review", None, True),
    "rejected": ("rejected", "rejected", None, False),
    "failed": ("failed", None, None, False),
    "cancelled": ("cancelled", None, None, False),
    "queued": ("queued", None, None, False),
}


@pytest.fixture
def scans(
    admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, model: MadeUpModel
) -> dict[str, dict[str, Any]]:
    """A scan for each outcome."""
    ids = {}
    for name in OUTCOMES:
        model.probability = {"tumor": 0.9, "no tumor": 0.0, "unclear": 0.5}.get(name, 0.9)
        model.review = "needs_review" if name == "unclear" else None
        model.rejects = name == "rejected"
        model.fails_on_batches_of = 1 if name == "failed" else None
        sent = send(admin, patient_id).json
        ids[name] = sent["scan_ids"][0]
        if name == "cancelled":
            admin.delete(f"/api/jobs/{sent['job_ids'][0]}")
        if name != "queued":
            pipeline.drain()
    listed = admin.get(f"/api/admin/patients/{patient_id}/scans").json["data"]
    by_id = {scan["scan_id"]: scan for scan in listed}
    return {name: by_id[scan_id] for name, scan_id in ids.items()}


def test_only_a_finding_puts_a_word_into_prediction(scans: dict[str, dict[str, Any]]) -> None:
    for name, (status, review, prediction, has_pictures) in OUTCOMES.items():
        scan = scans[name]
        assert set(scan) >= SCAN_KEYS
        said = (scan["status"], scan["review"], scan["prediction"])
        assert said == (status, review, prediction), name
        assert (scan["confidence"] is None) == (prediction is None)
        assert bool(scan["heatmap_path"] and scan["overlay_path"]) == has_pictures
        assert scan["original_path"]
    assert scans["no tumor"]["probability"] == 0
    assert scans["no tumor"]["confidence"] == 1
    assert scans["tumor"]["model"]["name"] == "made-up"
    assert scans["failed"]["model"] is None


def test_the_same_scans_are_in_every_list(
    admin: FlaskClient, patient_id: int, scans: dict[str, dict[str, Any]]
) -> None:
    everywhere = admin.get("/api/admin/scans").json["data"]
    assert [scan["scan_id"] for scan in everywhere] == [scan["scan_id"] for scan in scans.values()][::-1]
    patient = admin.get(f"/api/admin/patients/{patient_id}").json["data"]
    for scan, own in zip(everywhere[::-1], scans.values(), strict=True):
        assert (scan.pop("patient_name"), scan.pop("patient_identifier")) == (
            "Ada Example",
            patient["patient_id"],
        )
        assert {**own, "explanation": None} == scan
    assert admin.get(f"/api/patient/{patient_id}/scans").json["data"] == list(scans.values())[::-1]


def test_pictures_are_reached_by_redirect_with_a_login_and_by_link_without(
    admin: FlaskClient, anonymous: FlaskClient, scans: dict[str, dict[str, Any]]
) -> None:
    for name, (_, _, _, has_pictures) in OUTCOMES.items():
        scan = scans[name]
        for kind in ("original", "heatmap", "overlay"):
            url = f"/api/scans/{scan['id']}/image?kind={kind}"
            assert anonymous.get(url).status_code == 401
            answer = admin.get(url)
            link = scan[f"{kind}_path"]
            if kind == "original" or has_pictures:
                assert (answer.status_code, answer.headers["Location"]) == (302, link)
                assert anonymous.get(link).mimetype == "image/png"
            else:
                assert (answer.status_code, link) == (404, None)
        assert anonymous.get(scan["thumbnail_path"]).mimetype == "image/webp"
    first = scans["tumor"]["id"]
    assert admin.get(f"/api/scans/{first}/image").headers["Location"] == scans["tumor"]["original_path"]
    assert admin.get(f"/api/scans/{first}/image?kind=secret").status_code == 400


def test_outcomes_are_counted_once_each_on_the_dashboard(
    admin: FlaskClient, scans: dict[str, dict[str, Any]]
) -> None:
    stats = admin.get("/api/admin/dashboard/stats").json["data"]
    assert stats["scan_stats"] == {
        "total_scans": len(scans),
        "tumor_count": 1,
        "no_tumor_count": 1,
        "needs_review_count": 1,
        "rejected_count": 1,
        "unanalysed_count": 3,
    }
    assert (stats["queue"]["queued"]["scan"], stats["queue"]["failed"]["scan"]) == (1, 1)


def test_a_report_covers_what_has_a_finding_and_counts_words_only(
    admin: FlaskClient, patient_id: int, scans: dict[str, dict[str, Any]], renderer: ReportRenderer
) -> None:
    job = admin.post("/api/report/generate", json={"patient_id": patient_id})
    assert job.status_code == 202
    assert admin.get(f"/api/admin/patients/{patient_id}/reports").json["data"] == [], "not before it is there"
    renderer.drain()
    (report,) = admin.get(f"/api/admin/patients/{patient_id}/reports").json["data"]
    assert set(report) >= REPORT_KEYS
    assert (report["scan_count"], report["tumor_count"], report["no_tumor_count"]) == (3, 1, 1)
    listed = admin.get(f"/api/admin/patients/{patient_id}/scans").json["data"]
    reported = {scan["scan_id"] for scan in listed if scan["report_path"]}
    assert reported == {scans[name]["scan_id"] for name in ("tumor", "no tumor", "unclear")}
    assert {scan["report_path"] for scan in listed} == {report["report_path"], None}


@pytest.mark.parametrize("size", [1, 3])
def test_pages_of_reports_cover_everything_exactly_once(
    admin: FlaskClient,
    patient_id: int,
    services: Services,
    queue: RecordingQueue,
    pipeline: ScanPipeline,
    renderer: ReportRenderer,
    size: int,
) -> None:
    queue.workers = {JobKind.SCAN: pipeline.drain, JobKind.REPORT: renderer.drain}
    other, _ = new_patient(services)
    for patient in (patient_id, other, patient_id):
        send(admin, patient, *pictures(1), generate_report="1")
    renderer.drain()
    for url, number in (("/api/admin/reports", 3), (f"/api/admin/patients/{patient_id}/reports", 2)):
        whole = admin.get(url).json["data"]
        assert len(whole) == number
        assert [row for page in pages_of(admin, f"{url}?limit={size}") for row in page] == whole
    names = {report["patient_name"] for report in admin.get("/api/admin/reports").json["data"]}
    assert names == {"Ada Example", "Somebody Else"}
