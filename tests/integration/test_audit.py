"""The audit trail: what is in it, and that nobody can change it unseen."""

import io

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from api.cli import main
from shared import audit
from shared.models import AuditEvent
from stack.postgres import Cluster
from tests.fakes import picture
from worker.pipeline import ScanPipeline

NAME = "Zaphod Beeblebrox-Marker"


def events(sessions: sessionmaker[Session]) -> list[AuditEvent]:
    with sessions() as session:
        return list(session.scalars(select(AuditEvent).order_by(AuditEvent.id)))


def add(sessions: sessionmaker[Session], number: int) -> None:
    for n in range(number):
        with sessions.begin() as session:
            audit.record(session, "system", "test.acted", f"thing:{n}", None, {"n": n, "text": 'ä"\n'})


def test_acts_are_recorded_with_actor_subject_and_request_but_never_a_name(
    admin: FlaskClient, sessions: sessionmaker[Session], pipeline: ScanPipeline
) -> None:
    body = {"name": NAME, "email": "zaphod.marker@example.org", "address": "Marker Street 42"}
    made = admin.post("/api/admin/patients", json=body, headers={"X-Request-ID": "abc"}).json["data"]
    patient = made["id"]
    form = {"patient_id": str(patient), "files": [(io.BytesIO(picture()), f"{NAME}.png")]}
    admin.post("/api/admin/scans/upload", data=form)
    pipeline.drain()
    admin.put(f"/api/admin/patients/{patient}", json=body)
    admin.get(f"/api/admin/patients/{patient}")
    admin.get(f"/api/admin/patients/{patient}/scans")
    admin.get("/api/scans/1/image?kind=overlay")
    admin.post("/api/report/generate", json={"patient_id": patient})
    rows = events(sessions)
    assert [(row.action, row.subject) for row in rows] == [
        ("login.succeeded", "admin:1"),
        ("patient.created", f"patient:{patient}"),
        ("scan.uploaded", f"patient:{patient}"),
        ("patient.changed", f"patient:{patient}"),
        ("patient.viewed", f"patient:{patient}"),
        ("scan.listed", f"patient:{patient}"),
        ("image.viewed", "scan:1"),
        ("report.requested", f"patient:{patient}"),
    ]
    assert {row.actor for row in rows} == {"admin:1"}
    assert rows[1].request_id == "abc"
    with sessions() as session:
        whole = session.scalar(text("SELECT string_agg(audit_events::text, ' ') FROM audit_events"))
    for word in ("Marker", "marker", made["username"], made["password"], made["patient_id"]):
        assert word not in whole


def test_failed_logins_are_recorded_without_what_was_typed(
    admin: FlaskClient, anonymous: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    del admin
    for username in ("admin", "someone@typed.this"):
        anonymous.post("/api/admin/login", json={"username": username, "password": "secret typed"})
    failed = [row for row in events(sessions) if row.action == "login.failed"]
    assert [row.subject for row in failed] == ["admins:1", "admins"]
    assert not [row for row in failed if "typed" in str((row.actor, row.subject, row.details))]


def test_an_act_that_is_undone_leaves_no_row(admin: FlaskClient, sessions: sessionmaker[Session]) -> None:
    body = {"name": "A", "email": "a@example.org"}
    assert admin.post("/api/admin/patients", json=body).status_code == 201
    assert admin.post("/api/admin/patients", json=body).status_code == 409
    assert [row.action for row in events(sessions)].count("patient.created") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'x'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_events SET hash = hash",
    ],
)
def test_the_database_refuses_to_change_the_trail(
    engine: Engine, sessions: sessionmaker[Session], statement: str
) -> None:
    add(sessions, 2)
    with engine.connect() as connection, pytest.raises(DBAPIError, match="can only be added to"):
        connection.execute(text(statement))
    assert len(events(sessions)) == 2


def test_given_numbers_times_and_hashes_are_not_believed(
    engine: Engine, sessions: sessionmaker[Session]
) -> None:
    add(sessions, 1)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO audit_events (id, at, actor, action, subject, previous_hash, hash)"
                " VALUES (99, '2001-01-01', 'a', 'b', 'c', 'd', 'e')"
            )
        )
    with sessions() as session:
        assert session.scalar(select(func.max(AuditEvent.id))) == 2
        assert session.scalar(select(func.min(AuditEvent.at))).year > 2001
        assert audit.verify(session).broken_at is None


@pytest.mark.parametrize(
    ("tampering", "broken_at", "reason"),
    [
        ("UPDATE audit_events SET actor = 'somebody else' WHERE id = 3", 3, "content"),
        ("UPDATE audit_events SET details = '{}' WHERE id = 1", 1, "content"),
        ("UPDATE audit_events SET at = at - interval '1 day' WHERE id = 5", 5, "content"),
        ("DELETE FROM audit_events WHERE id = 2", 2, "missing"),
        ("UPDATE audit_events SET hash = repeat('a', 64) WHERE id = 4", 4, "content"),
    ],
)
def test_tampering_past_the_triggers_breaks_the_chain(
    engine: Engine, sessions: sessionmaker[Session], tampering: str, broken_at: int, reason: str
) -> None:
    add(sessions, 5)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # a superuser's way round
        connection.execute(text(tampering))
    with sessions() as session:
        verdict = audit.verify(session)
    assert verdict.broken_at == broken_at
    assert reason in verdict.reason


def test_the_command_notices_rows_removed_from_the_end_by_a_head_that_was_noted(
    engine: Engine,
    sessions: sessionmaker[Session],
    postgres: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    add(sessions, 3)
    assert main(["verify-audit"]) == 0
    head = capsys.readouterr().out.split("head: ")[1].strip()
    add(sessions, 1)
    assert main(["verify-audit", "--head", head]) == 0
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM audit_events WHERE id >= 3"))
    assert main(["verify-audit"]) == 0
    assert main(["verify-audit", "--head", head]) == 1
    assert "removed from its end" in capsys.readouterr().out


def test_admins_query_the_trail_in_pages(admin: FlaskClient, sessions: sessionmaker[Session]) -> None:
    add(sessions, 5)
    first = admin.get("/api/admin/audit?action=test.acted&limit=2")
    assert [row["subject"] for row in first.json["data"]] == ["thing:4", "thing:3"]
    following = first.headers["Link"].split(">")[0].removeprefix("<")
    assert [row["subject"] for row in admin.get(following).json["data"]] == ["thing:2", "thing:1"]
    only = admin.get("/api/admin/audit?subject=thing:0&actor=system").json["data"]
    assert [row["details"]["n"] for row in only] == [0]
