"""The pages about the system and the audit trail."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import func, text, update

from api.portal import audit_trail, model_card
from api.portal.audit_words import ACTIONS, action_words
from api.portal.system_facts import CHECKS
from shared import audit, heartbeat
from shared.migrations import known_revisions
from shared.models import Worker
from shared.services import Services
from stack.settings import CHECKOUT
from tests.fakes import RecordingQueue
from tests.integration.conftest import ADMIN_PASSWORD, bearer
from tests.integration.portal import GERMAN, Outline
from tests.integration.sending import pictures, send

SYSTEM, AUDIT = "/portal/system", "/portal/audit"
MODELS = CHECKOUT / "model_weights"


def with_settings(services: Services, **values: object) -> FlaskClient:
    """An admin's client of an application that is set up otherwise."""
    changed = replace(services, settings=services.settings.model_copy(update=values))
    return bearer(changed, "/api/admin/login", "admin", ADMIN_PASSWORD)


@pytest.fixture
def workers(services: Services) -> None:
    """One of each kind, and a silent one."""
    with services.sessions.begin() as session:
        heartbeat.beat(session, "scan@host:1", "scan", "cuda/torch", "resnet18-local-evidence 1.2.1")
        heartbeat.beat(session, "report@host:2", "report", "cpu", None)
        heartbeat.beat(session, "scan@other:3", "scan", "cpu/openvino", "an older model 0.9")
        ended = func.now() - timedelta(minutes=5)
        session.execute(update(Worker).where(Worker.name == "scan@other:3").values(last_seen_at=ended))


@pytest.mark.usefixtures("workers")
def test_the_system_shows_what_is_up_and_who_works(admin: FlaskClient, patient_id: int) -> None:
    send(admin, patient_id, *pictures(2))
    page = admin.get(SYSTEM).text
    assert "Ready for work" in page
    rows = re.findall(
        r'<th scope="row"><span class="code cut">([^<]*)</span>.*?class="badge \w+">(\w+)<', page, re.DOTALL
    )
    assert rows == [("report@host:2", "Alive"), ("scan@host:1", "Alive"), ("scan@other:3", "Silent")]
    assert re.search(r"scans\.interactive</span></th><td [^>]*>2<", page)
    newest = known_revisions()[-1]
    assert f"<dd>{newest}</dd>" in page
    assert "this version knows" not in page
    assert "Betriebsbereit" in admin.get(SYSTEM, headers=GERMAN).text


def test_what_is_down_is_named_with_what_it_means(admin: FlaskClient, queue: RecordingQueue) -> None:
    queue.up = False
    page = admin.get(SYSTEM).text
    assert "Something is down" in page
    for name in ("broker", "scan_worker", "report_worker"):
        assert all(words in page for words in CHECKS[name])
    assert CHECKS["database"][1] not in page
    assert "unknown" in page, "nobody knows of hints in a broker that does not answer"
    assert "No worker has been seen for a day." in page


@pytest.mark.usefixtures("workers", "admin")
def test_the_models_card_is_shown_and_held_against_what_runs(services: Services) -> None:
    page = with_settings(services, model_folder=MODELS).get(SYSTEM).text
    card = model_card.read(MODELS)
    assert card is not None
    for shown in (
        card.weights_sha256,
        card.code,
        "0.993 (0.980\N{EN DASH}0.999)",
        "19%",
        "One slice is judged at a time.",
    ):
        assert shown in page
    assert "this card is about" not in page
    with services.sessions.begin() as session:
        heartbeat.beat(session, "scan@host:1", "scan", "cuda/torch", "another model 2.0")
    other = with_settings(services, model_folder=MODELS).get(SYSTEM).text
    assert "The workers run another model 2.0; this card is about resnet18-local-evidence 1.2.1." in other


@pytest.mark.usefixtures("workers", "admin")
def test_without_a_card_it_says_what_runs(services: Services, tmp_path: Path) -> None:
    for content in (None, "{}", "no json"):
        if content is not None:
            (tmp_path / model_card.MANIFEST).write_text(content)
            (tmp_path / model_card.METRICS).write_text(content)
            (tmp_path / model_card.CARD).write_text(content)
        page = with_settings(services, model_folder=tmp_path).get(SYSTEM)
        assert page.status_code == 200
        assert "The workers run resnet18-local-evidence 1.2.1. Its card is not on this machine" in page.text


@pytest.mark.usefixtures("admin")
def test_settings_are_shown_without_secrets_and_flower_is_led_to(services: Services) -> None:
    secrets = {
        "smtp_password": SecretStr("secret-of-the-mail-server"),
        "aws_secret_access_key": SecretStr("secret-of-the-store"),
    }
    page = with_settings(services, flower_url="/flower/", release_gate=True, **secrets).get(SYSTEM).text
    assert {"id": "flower", "href": "/flower/"} in Outline(page).all("a")
    assert "FLOWER_URL" not in page
    assert re.search(r"RELEASE_GATE</span></th><td [^>]*>on<", page)
    database = services.settings.database_url
    assert database is not None
    hidden = (*secrets.values(), services.settings.secret_key, database, services.settings.redis_url)
    assert [value for value in hidden if value.get_secret_value() in page] == []
    assert "FLOWER_URL" in with_settings(services).get(SYSTEM).text


def test_acts_are_told_in_words_and_lead_to_their_subjects(
    admin: FlaskClient, services: Services, patient_id: int
) -> None:
    [job_id] = send(admin, patient_id, *pictures(1)).json["job_ids"]
    with services.sessions.begin() as session:
        audit.record(session, "cli", "made.up", "patient:x", details={"rows": 3})
        audit.record(session, f"patient:{patient_id}", "job.retried", f"job:{job_id}")
    page = admin.get(AUDIT).text
    for words in ("Scans uploaded", "scan.uploaded", "made.up", "rows=3", "Command line"):
        assert words in page
    links = [link["href"] for link in Outline(page).all("a")]
    assert f"/portal/jobs/{job_id}" in links
    assert links.count(f"/portal/patients/{patient_id}") >= 2
    assert action_words("made.up") is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("action=made.up", 2),
        ("actor=cli", 3),
        ("subject=scan:1", 2),
        ("actor=cli&subject=scan:1", 1),
        ("actor=%00", 0),
        (f"subject={'x' * 500}", 0),
    ],
)
def test_filters_choose_acts(admin: FlaskClient, services: Services, query: str, expected: int) -> None:
    with services.sessions.begin() as session:
        for actor, action, subject in (
            ("cli", "made.up", "scan:1"),
            ("cli", "made.up", "scan:2"),
            ("cli", "scan.viewed", "scan:3"),
            ("reader:9", "scan.viewed", "scan:1"),
        ):
            audit.record(session, actor, action, subject)
    page = admin.get(f"{AUDIT}?{query}")
    assert page.status_code == 200
    assert page.text.count('data-label="Row"') == expected


def test_older_acts_are_on_further_pages(
    admin: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail, "EVENTS_ON_PAGE", 2)
    with services.sessions.begin() as session:
        for number in range(3):
            audit.record(session, "cli", "made.up", f"scan:{number}")
    first = admin.get(f"{AUDIT}?action=made.up").text
    [older] = [str(link["href"]) for link in Outline(first).all("a") if link.get("rel") == "next"]
    assert "action=made.up" in older
    second = admin.get(older).text
    assert ("scan:0" in first, "scan:0" in second, "scan:1" in second) == (False, True, False)


def test_the_end_of_the_chain_is_checked_on_request(
    admin: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail, "CHECKED", 3)
    with services.sessions.begin() as session:
        for number in range(6):
            audit.record(session, "cli", "made.up", f"scan:{number}")
    assert "unbroken" not in admin.get(AUDIT).text
    assert "The newest 3 rows are unbroken." in admin.get(f"{AUDIT}?check=newest").text
    with services.sessions.begin() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text("UPDATE audit_events SET subject = 'scan:9' WHERE subject = 'scan:4'"))
        changed = session.scalar(text("SELECT id FROM audit_events WHERE subject = 'scan:9'"))
    page = admin.get(f"{AUDIT}?check=newest").text
    assert f"The trail is broken at row {changed}." in page
    assert 'role="alert"' in page


def test_every_act_of_the_code_has_its_words() -> None:
    written = set()
    for folder in ("api", "shared"):
        for path in (CHECKOUT / folder).rglob("*.py"):
            source = path.read_text()
            if path.name not in ("audit_words.py",):
                written |= set(
                    re.findall(
                        r'(?:note|record)\(\s*(?:session,\s*)?(?:[\w.]+(?:\(\w*\))?,\s*)?"([a-z]+\.[a-z]+)"',
                        source,
                    )
                )
    assert len(written) > 20
    assert written <= set(ACTIONS)
