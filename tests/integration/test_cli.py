"""Operators' commands."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from api.cli import main
from shared.models import Admin
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
