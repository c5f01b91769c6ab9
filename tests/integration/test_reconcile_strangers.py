"""`reconcile --repair` beside a store, or a database, that is another system's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from api.cli import main
from shared.ids import new_scan_id
from shared.models import UNFINISHED, Job, Report, Scan
from shared.reconciliation import plausibility
from shared.services import Services
from tests.fakes import picture
from tests.integration.sending import pictures, send, stored
from worker.pipeline import ScanPipeline
from worker.rendering import ReportRenderer

REPAIR = ["reconcile", "--repair", "--older-than", "0"]
SCANS = 8  # with two pictures each, and an original: more objects than what may always be missing


@pytest.fixture(autouse=True)
def analysed(admin: FlaskClient, patient_id: int, pipeline: ScanPipeline, renderer: ReportRenderer) -> None:
    """Scans with results, and a report."""
    send(admin, patient_id, *pictures(SCANS))
    assert pipeline.drain() == SCANS
    assert admin.post("/api/report/generate", json={"patient_id": patient_id}).status_code == 202
    assert renderer.drain() == 1


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, services: Services) -> None:
    """What an operator's command reads."""
    settings = services.settings
    assert settings.database_url is not None
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("IMAGE_FOLDER", str(settings.image_folder))
    monkeypatch.setenv("REPORT_FOLDER", str(settings.report_folder))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().err


def unfinished(services: Services) -> int:
    with services.sessions() as session:
        return session.execute(select(func.count()).where(Job.status.in_(UNFINISHED))).scalar_one()


def test_a_repair_beside_a_wrong_image_folder_queues_nothing(
    services: Services, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMAGE_FOLDER", str(tmp_path / "wrong"))
    assert main(REPAIR) == 1
    assert said().startswith(
        f"{3 * SCANS} of {3 * SCANS} objects that the database names are missing from the"
    )
    assert unfinished(services) == 0


def test_a_repair_beside_a_wrong_report_folder_queues_nothing_though_all_pictures_are_there(
    services: Services, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with services.sessions.begin() as session:
        patient = session.scalars(select(Report.patient_id)).one()
        session.add_all(
            Report(patient_id=patient, report_id=f"R{number:020X}", report_path=f"R{number:020X}.pdf")
            for number in range(plausibility.FEW)
        )
    monkeypatch.setenv("REPORT_FOLDER", str(tmp_path / "wrong"))
    assert main(REPAIR) == 1
    assert "missing from the reports store" in said()
    assert unfinished(services) == 0


def test_a_repair_beside_a_wrong_database_deletes_nothing(
    services: Services, said: Callable[[], str]
) -> None:
    with services.sessions.begin() as session:
        session.execute(update(Scan).values(scan_id=func.concat("T", Scan.id)))
    before = stored(services)
    assert main(REPAIR) == 1
    assert f"{3 * SCANS} of {3 * SCANS} objects in the images store belong to nothing" in said()
    assert stored(services) == before


def test_a_repair_that_is_meant_is_done_all_the_same(services: Services) -> None:
    for key in stored(services):
        if not key.startswith("original/"):
            services.images.delete(key)
    lost = [f"original/{new_scan_id()}.png" for _ in range(3 * SCANS)]
    for key in lost:
        services.images.put(key, picture(), "image/png")
    assert main(REPAIR) == 1
    assert len(stored(services)) == SCANS + len(lost)
    assert main([*REPAIR, "--even-if-most-disagrees"]) == 0
    assert len(stored(services)) == SCANS
    assert unfinished(services) == SCANS


def test_a_few_losses_are_repaired_even_if_they_are_most_of_what_there_is(services: Services) -> None:
    for key in stored(services):
        if not key.startswith("original/"):
            services.images.delete(key)
    assert main(REPAIR) == 0
    assert unfinished(services) == SCANS
