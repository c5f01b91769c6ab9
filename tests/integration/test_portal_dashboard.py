"""The staff's first page: before there is anything, and with figures, charts, failures and news."""

import re
from datetime import timedelta
from itertools import pairwise

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from shared import heartbeat, jobs
from shared.attempts import Failure
from shared.last_day import last_day
from shared.models import AuditEvent, Job, JobKind, Scan, Stage
from shared.services import Services
from tests.integration.portal import Outline
from tests.integration.sending import pictures, send
from worker.pipeline import ScanPipeline

PAGE = "/portal/staff"
TILE = re.compile(r'<li class="tile[^"]*"><strong>([^<]*)</strong> <span>(?:<a [^>]*>)?([^<]*)')
CAUSE = "The image store does not answer."


def tiles(page: str) -> dict[str, str]:
    """Numbers by their names."""
    return {name: number for number, name in TILE.findall(page)}


@pytest.fixture
def worked(admin: FlaskClient, patient_id: int, services: Services, pipeline: ScanPipeline) -> list[str]:
    """Jobs of five scans: three analysed, one failed, one waiting."""
    job_ids: list[str] = send(admin, patient_id, *pictures(5)).json["job_ids"]
    with services.sessions.begin() as session:
        first, *_ = jobs.claim(session, JobKind.SCAN, "a worker", 1, lease_seconds=60)
        failure = Failure(first, "SERVICE_UNAVAILABLE", CAUSE, stage=Stage.FETCH)
        jobs.fail(session, [failure], max_attempts=1, retry_seconds=0)
        later = update(Job).where(Job.id == job_ids[-1]).values(run_after=func.now() + timedelta(hours=1))
        session.execute(later)
        heartbeat.beat(session, "scan@host:1", "scan", "cpu/torch", "a model 1.0")
    pipeline.drain()
    return job_ids


def test_a_fresh_installation_says_what_to_do_first(admin: FlaskClient, reader: FlaskClient) -> None:
    page = admin.get(PAGE).text
    links = {link["href"] for link in Outline(page).all("a")}
    assert {"/portal/patients/new", "/portal/upload", "/portal/system"} <= links
    assert "No worker is running" in page
    assert "chart" not in page
    assert "Create a patient" not in reader.get(PAGE).text


def test_figures_charts_and_news_are_those_of_the_database(
    admin: FlaskClient, services: Services, worked: list[str]
) -> None:
    page = admin.get(PAGE).text
    with services.sessions() as session:
        tumours = session.scalar(select(func.count()).where(Scan.prediction == "Tumor"))
        newest = session.scalar(select(Scan.scan_id).order_by(Scan.id.desc()).limit(1))
    shown = tiles(page)
    assert (shown["patient"], shown["scans"], shown["jobs waiting"], shown["worker alive"]) == (
        "1",
        "5",
        "1",
        "1",
    )
    assert (shown["failed in the last 24 hours"], shown["analyses done in the last minute"]) == ("1", "3")
    outline = Outline(page)
    charts = [svg for svg in outline.all("svg") if svg.get("role") == "img"]
    assert "4 scans ended in the last 24 hours, at most 4 in one hour." in (charts[0]["aria-label"] or "")
    parts = {
        rect["class"]: float(rect["height"] or 0) for rect in outline.all("rect") if rect.get("x") == "230.0"
    }
    assert parts["part failed"] == 25.0, "one of the four of the last hour, which is the highest bar"
    assert parts.get("part tumor", 0.0) == 25.0 * tumours
    links = {link["href"] for link in outline.all("a")}
    assert f"/portal/jobs/{worked[0]}" in links
    assert "A store did not answer, or refused" in page
    assert newest in page


def test_the_page_renews_itself_until_told_to_stop(admin: FlaskClient, worked: list[str]) -> None:
    assert worked
    live = {tag.get("id"): tag for tag in Outline(admin.get(PAGE).text).all("div")}["live"]
    assert live["data-every"] == "5"
    stopped = {tag.get("id"): tag for tag in Outline(admin.get(f"{PAGE}?live=off").text).all("div")}["live"]
    assert "data-every" not in stopped


def test_it_says_nothing_of_patients_and_leaves_no_trace(
    admin: FlaskClient, services: Services, worked: list[str]
) -> None:
    assert worked
    with services.sessions() as session:
        before = session.scalar(select(func.count()).select_from(AuditEvent))
    page = admin.get(PAGE).text
    with services.sessions() as session:
        assert session.scalar(select(func.count()).select_from(AuditEvent)) == before
    assert "Ada" not in page
    assert ".png" not in page


def test_hours_are_counted_back_from_now(services: Services, worked: list[str]) -> None:
    with services.sessions.begin() as session:
        for hours, job_id in zip((25, 23.5, 2.5), worked, strict=False):  # the first has failed
            ended = func.now() - timedelta(hours=hours)
            session.execute(update(Job).where(Job.id == job_id).values(finished_at=ended))
        day = last_day(session)
    assert (day.failures, day.scans) == (0, 3)
    assert [place for place, hour in enumerate(day.hours) if sum(hour.values())] == [0, 21, 23]


@pytest.mark.parametrize(
    "address",
    [PAGE, "/portal/jobs", "/portal/jobs?status=failed", "/portal/audit?check=newest", "/portal/system"],
)
def test_pages_are_whole_without_inline_code_and_with_headings_in_order(
    admin: FlaskClient, worked: list[str], address: str
) -> None:
    assert worked
    outline = Outline(admin.get(address).text)
    for _, attributes in outline.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {label.get("for") for label in outline.all("label")}
    fields = [*outline.all("select"), *(f for f in outline.all("input") if f.get("type") != "hidden")]
    assert {field.get("id") for field in fields} <= labels
