"""`doctor` names what is down, wrong or doubtful, with real servers stopped and started."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.orm import Session, sessionmaker

from api.cli import main
from shared import heartbeat, mails
from shared.doctor import stores
from shared.models import Job, JobKind, JobStatus, Patient, Worker
from shared.settings import load_settings
from stack.ports import LOOPBACK, free_port
from stack.postgres import Cluster
from stack.redis_server import RedisServer
from tests.mail_server import LOGIN, PASSWORD, MailServer, make_certificate

ROOT = Path(__file__).resolve().parents[2]
SECRET = "k" * 40


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may stop, set up as the local stack does it."""
    server = RedisServer(tmp_path / "redis", free_port())
    server.prepare()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def healthy(
    postgres: Cluster,
    redis: RedisServer,
    sessions: sessionmaker[Session],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A system with nothing wrong."""
    values = {
        "DATABASE_URL": postgres.url,
        "REDIS_URL": redis.url,
        "SECRET_KEY": SECRET,
        "IMAGE_FOLDER": str(tmp_path / "images"),
        "REPORT_FOLDER": str(tmp_path / "reports"),
        "MODEL_FOLDER": str(ROOT / "model_weights"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with sessions.begin() as session:
        for role in ("scan", "report"):
            heartbeat.beat(session, f"{role}@somewhere", role, "cpu", None)


def examined(capsys: pytest.CaptureFixture[str], status: int) -> dict[str, tuple[str, str]]:
    """Level and text by name, of the part's worst line."""
    capsys.readouterr()
    assert main(["doctor", "--json"]) == status
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert answer["healthy"] is (status == 0)
    order = ["ok", "warning", "problem"]
    checks = sorted(answer["checks"], key=lambda check: order.index(check["level"]))
    return {check["name"]: (check["level"], check["text"]) for check in checks}


def test_a_healthy_system_is_a_line_each_and_nothing_stays_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines if "FLASK_ENV" not in line} == {"ok"}
    assert len(lines) > 10
    assert list((tmp_path / "images").iterdir()) == list((tmp_path / "reports").iterdir()) == []


def test_no_secret_is_shown(
    capsys: pytest.CaptureFixture[str], postgres: Cluster, redis: RedisServer
) -> None:
    main(["doctor", "--json"])
    shown = "".join(capsys.readouterr())
    for hidden in (SECRET, postgres.url, redis.url, postgres.password, redis.password):
        assert hidden not in shown


def test_a_database_that_is_down_hides_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody:s3cret@{LOOPBACK}:{free_port()}/none")
    found = examined(capsys, 1)
    assert "DATABASE_URL" in found["database"][1]
    assert found["work"][0] == "problem"
    assert found["broker"][0] == found["image store"][0] == found["model"][0] == "ok"


def test_a_redis_that_is_down_is_named_until_it_is_back(
    capsys: pytest.CaptureFixture[str], redis: RedisServer
) -> None:
    redis.stop()
    found = examined(capsys, 1)
    assert found["broker"][0] == "problem"
    assert "REDIS_URL" in found["broker"][1]
    assert found["database"][0] == "ok"
    redis.start()
    assert examined(capsys, 0)["broker"][0] == "ok"


def test_a_redis_that_would_forget_is_a_warning(
    capsys: pytest.CaptureFixture[str], redis: RedisServer
) -> None:
    with Redis.from_url(redis.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
    found = examined(capsys, 0)
    assert found["broker memory"] == (
        "warning",
        "maxmemory-policy is allkeys-lru, which drops messages without a word: set it to noeviction.",
    )
    assert found["broker disk"][0] == "warning"


@pytest.fixture
def other_database(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database of the test's own, which the doctor looks at."""
    server = create_engine(with_driver(postgres.url), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE other"))
    url = f"{postgres.url.rpartition('/')[0]}/other"
    monkeypatch.setenv("DATABASE_URL", url)
    yield url
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE other WITH (FORCE)"))
    server.dispose()


def with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)


def run_sql(url: str, *statements: str) -> None:
    engine = create_engine(with_driver(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_a_schema_that_is_not_ours_is_named(capsys: pytest.CaptureFixture[str], other_database: str) -> None:
    found = examined(capsys, 1)
    assert "api.cli migrate" in found["schema"][1]
    assert found["work"][0] == "problem"
    assert main(["migrate"]) == 0
    assert examined(capsys, 1)["schema"][0] == "ok"  # status 1: no worker beats here
    run_sql(other_database, "UPDATE alembic_version SET version_num = '0001'")
    assert "at revision 0001" in examined(capsys, 1)["schema"][1]
    run_sql(other_database, "UPDATE alembic_version SET version_num = '9999'")
    assert "unknown here" in examined(capsys, 1)["schema"][1]


def test_clocks_that_differ_are_a_warning(capsys: pytest.CaptureFixture[str], other_database: str) -> None:
    run_sql(
        other_database,
        "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
        " AS $$ SELECT pg_catalog.clock_timestamp() + interval '90 seconds' $$",
        "ALTER DATABASE other SET search_path = public, pg_catalog",
    )
    level, words = examined(capsys, 1)["clock"]
    assert level == "warning"
    assert "90 s ahead of" in words


@pytest.mark.parametrize("variable", ["IMAGE_FOLDER", "REPORT_FOLDER", "STAGING_FOLDER"])
def test_a_folder_that_is_none_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("STAGING_STORE", "local")
    monkeypatch.setenv("STAGING_FOLDER", str(tmp_path / "staging"))
    monkeypatch.setenv(variable, str(tmp_path / "file" / "folder"))
    level, words = examined(capsys, 1)[f"{variable.partition('_')[0].lower()} store"]
    assert (level, variable in words) == ("problem", True)


def test_a_store_in_a_cloud_that_does_not_answer_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "REPORT_STORE": "s3",
        "AWS_S3_BUCKET": "made-up",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "s3cret of s3",
        "AWS_S3_ENDPOINT_URL": f"http://{LOOPBACK}:{free_port()}",
        "STORE_TIMEOUT_SECONDS": "1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    level, words = examined(capsys, 1)["report store"]
    assert (level, "s3" in words, "AWS_*" in words) == ("problem", True, True)


def test_a_disk_that_fills_up_is_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "MIN_FREE_GB", 10**9)  # no test can fill the disk
    found = examined(capsys, 0)
    assert found["image disk"][0] == "warning"
    assert "IMAGE_FOLDER" in found["image disk"][1]


@pytest.fixture
def mail_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    server = MailServer(make_certificate(tmp_path))
    values = {
        "SMTP_SERVER": LOOPBACK,
        "SMTP_PORT": str(server.port),
        "SMTP_SECURITY": "starttls",
        "SMTP_USERNAME": LOGIN,
        "SMTP_PASSWORD": PASSWORD,
        "SMTP_CA_FILE": str(server.certificate.chain),
        "SMTP_TIMEOUT_SECONDS": "20",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()


def test_the_mail_server_is_tried_and_no_mail_is_sent(
    capsys: pytest.CaptureFixture[str], mail_server: MailServer
) -> None:
    assert examined(capsys, 1)["mail"][0] == "problem"
    mail_server.start()
    assert examined(capsys, 0)["mail"][0] == "ok"
    assert (mail_server.logins, mail_server.received) == ([True], [])
    mail_server.passwords[LOGIN] = "another"
    assert "SMTP_PASSWORD" in examined(capsys, 1)["mail"][1]


def test_a_mail_that_failed_is_remembered(
    capsys: pytest.CaptureFixture[str], mail_server: MailServer, sessions: sessionmaker[Session]
) -> None:
    mail_server.start()
    with sessions.begin() as session:
        job = mails.queue_credentials(session, a_patient(session), "generated", load_settings())
        assert job is not None
        job.status, job.error_code, job.finished_at = JobStatus.FAILED, "MAIL_REFUSED_LOGIN", func.now()
    found = examined(capsys, 0)
    assert found["mail"][0] == "warning"
    assert "MAIL_REFUSED_LOGIN" in found["mail"][1]
    assert "1 mail MAIL_REFUSED_LOGIN" in found["failures"][1]
    assert "list-failed-jobs" in found["failures"][1]


def a_patient(session: Session) -> Patient:
    patient = Patient(patient_id="P1", name="A", email="a@example.org", username="a", password_hash="none")
    session.add(patient)
    session.flush()
    return patient


@pytest.fixture
def model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (ROOT / "model_weights").iterdir():
        if file.suffix in {".json", ".safetensors"}:
            shutil.copy(file, folder)
    monkeypatch.setenv("MODEL_FOLDER", str(folder))
    return folder


def test_damaged_or_missing_files_of_the_model_are_named(
    capsys: pytest.CaptureFixture[str], model_folder: Path
) -> None:
    assert examined(capsys, 0)["model"][0] == "ok"
    manifest = json.loads((model_folder / "manifest.json").read_text())
    weights, gate = model_folder / manifest["weights_file"], model_folder / manifest["gate"]["file"]
    whole = gate.read_bytes()
    gate.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert gate.name in examined(capsys, 1)["model"][1]
    gate.write_bytes(whole)
    weights.unlink()
    assert f"{weights.name} cannot be read" in examined(capsys, 1)["model"][1]
    (model_folder / "manifest.json").write_text("{")
    assert "manifest.json" in examined(capsys, 1)["model"][1]


def test_a_machine_without_a_model_is_only_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODEL_FOLDER", str(tmp_path / "missing"))
    assert examined(capsys, 0)["model"][0] == "warning"


def test_a_role_without_a_living_worker_is_a_problem(
    capsys: pytest.CaptureFixture[str], sessions: sessionmaker[Session]
) -> None:
    with sessions.begin() as session:
        silent = session.execute(select(Worker).where(Worker.role == "scan")).scalar_one()
        silent.last_seen_at = func.now() - timedelta(minutes=1)
    found = examined(capsys, 1)
    assert found["scan workers"][0] == "problem"
    assert found["report workers"] == ("ok", "1 alive")


def test_work_that_waits_for_long_is_a_warning(
    capsys: pytest.CaptureFixture[str],
    mail_server: MailServer,
    sessions: sessionmaker[Session],
) -> None:
    mail_server.start()
    with sessions.begin() as session:
        job = mails.queue_credentials(session, a_patient(session), "generated", load_settings())
        assert job is not None
    level, said = examined(capsys, 0)["queue"]
    assert level == "ok"
    assert said.startswith("1 mail jobs wait, the oldest for ")
    with sessions.begin() as session:
        waiting = session.execute(select(Job).where(Job.kind == JobKind.MAIL)).scalar_one()
        waiting.run_after = func.now() - timedelta(minutes=11)
    assert examined(capsys, 0)["queue"][0] == "warning"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATCH_SIZE", "none"),
        ("DATABASE_URL", "postgresql://host:port/name"),
        ("REDIS_URL", "localhost"),
        ("SMTP_PORT", "99999"),
    ],
)
def test_wrong_settings_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["doctor"]) == 2
    said = capsys.readouterr().err
    assert name in said
    assert value not in said


def test_defaults_of_development_are_a_warning_in_production(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "FLASK_ENV": "production",
        "PUBLIC_URL": "https://scans.example.org",
        "IMAGE_STORE": "local",
        "REPORT_STORE": "local",
        "TRUSTED_PROXIES": "1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert "CORS_ORIGINS" in examined(capsys, 0)["settings"][1]
    monkeypatch.setenv("CORS_ORIGINS", "https://portal.example.org")
    assert examined(capsys, 0)["settings"][0] == "ok"
    monkeypatch.setenv("TRUSTED_PROXIES", "0")
    assert "TRUSTED_PROXIES" in examined(capsys, 0)["settings"][1]
