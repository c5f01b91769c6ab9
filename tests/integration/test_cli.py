"""Operators' commands."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from api.cli import main
from shared.models import Admin, AuditEvent, Login
from shared.passwords import verify_password
from stack.postgres import Cluster


@pytest.fixture(autouse=True)
def database(postgres: Cluster, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)


def test_a_generated_password_is_shown_once_and_works(
    capsys: pytest.CaptureFixture[str], sessions: sessionmaker[Session]
) -> None:
    assert main(["add-admin", "ops", "--email", "ops@example.org"]) == 0
    shown = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    with sessions() as session:
        admin = session.execute(select(Admin)).scalar_one()
    assert (shown["username"], admin.email) == ("ops", "ops@example.org")
    assert verify_password(admin.password_hash, shown["password"])
    assert shown["password"] not in admin.password_hash


def test_a_reader_is_made_by_role_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["add-admin", "watcher", "--role", "reader"]) == 0
    capsys.readouterr()
    assert main(["list-admins"]) == 0
    assert capsys.readouterr().out == "watcher\treader\t\n"


def test_a_password_set_by_an_operator_ends_the_accounts_logins(
    capsys: pytest.CaptureFixture[str], sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["add-admin", "ops"]) == 0
    with sessions.begin() as session:
        login = Login(token_sha256="0" * 64, admin_id=1, expires_at=func.now() + timedelta(hours=1))
        session.add(login)
    monkeypatch.setenv("ADMIN_PASSWORD", "a long enough password")
    assert main(["set-password", "ops"]) == 0
    with sessions() as session:
        assert session.scalars(select(Login)).all() == []
        stored = session.scalar(select(Admin.password_hash))
        acts = list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))
    assert verify_password(stored, "a long enough password")
    assert acts == ["admin.created", "password.reset"]
    assert "long enough" not in capsys.readouterr().out


def test_a_prompted_password_must_be_typed_alike_twice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["a long enough password", "a long enough passwort"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(typed))  # a terminal, which tests have none of
    assert main(["add-admin", "ops", "--prompt"]) == 1
    assert "differ" in capsys.readouterr().err


@pytest.mark.parametrize("password", ["admin", "short"])
def test_a_password_that_is_easy_to_guess_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", password)
    assert main(["add-admin", "admin"]) == 1
    assert "at least" in capsys.readouterr().err


def test_the_development_flag_allows_admin_admin_and_production_refuses_the_flag(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "admin")
    monkeypatch.setenv("DEVELOPMENT_ADMIN", "true")
    assert main(["add-admin", "admin"]) == 0
    monkeypatch.setenv("FLASK_ENV", "production")
    assert main(["add-admin", "other"]) == 2
    told = capsys.readouterr().err
    for name in (
        "DEVELOPMENT_ADMIN",
        "ADMIN_PASSWORD",
        "SECRET_KEY",
        "PUBLIC_URL",
        "IMAGE_STORE",
        "REPORT_STORE",
    ):
        assert f"{name}:" in told


def test_unknown_accounts_are_named_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("set-password", "end-logins"):
        assert main([command, "nobody"]) == 1
        assert "no admin with this user name" in capsys.readouterr().err


def test_a_given_password_is_not_repeated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "a long enough password")
    assert main(["add-admin", "ops"]) == 0
    assert "long enough" not in capsys.readouterr().out


def test_a_taken_name_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["add-admin", "ops"]) == 0
    assert main(["add-admin", "ops"]) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_wrong_configuration_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_SIZE", "none")
    assert main(["migrate"]) == 2
    assert "BATCH_SIZE" in capsys.readouterr().err
