"""The configuration is complete, documented, and read in one place."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from shared.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "postgresql://user:pass@host/name"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)  # no config.env here


def test_every_problem_is_named_at_once_and_no_value_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("BATCH_SIZE", "many")
    monkeypatch.setenv("DEVICE", "s3cret-device")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "BATCH_SIZE" in str(caught.value)
    assert "DEVICE" in str(caught.value)
    assert "s3cret-device" not in str(caught.value)


def test_a_missing_database_is_named() -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        load_settings()


def test_production_refuses_development_secrets_and_debug_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("FLASK_ENV", "production")
    monkeypatch.setenv("FLASK_DEBUG", "1")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "SECRET_KEY" in str(caught.value)
    assert "FLASK_DEBUG" in str(caught.value)


def test_database_url_wins_over_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_HOST", "other")
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    assert load_settings().sqlalchemy_url == "postgresql+psycopg2://user:pass@host/name"


def test_a_password_with_special_characters_survives_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"DB_HOST": "host", "DB_NAME": "name", "DB_USER": "user", "DB_PASSWORD": "p@ss/word"}
    for name, value in parts.items():
        monkeypatch.setenv(name, value)
    assert load_settings().sqlalchemy_url == "postgresql+psycopg2://user:p%40ss%2Fword@host:5432/name"


def test_config_env_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.env").write_text(f"DATABASE_URL={DATABASE}\nBATCH_SIZE=4\nIO_THREADS=2\nDB_HOST=\n")
    monkeypatch.setenv("BATCH_SIZE", "8")
    settings = load_settings()
    assert (settings.batch_size, settings.io_threads, settings.db_host) == (8, 2, None)


def test_a_secret_in_a_file_wins_over_the_environment_and_an_empty_file_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("SECRET_KEY", "of the environment")
    monkeypatch.setenv("SMTP_PASSWORD", "of the environment")
    (tmp_path / "secret_key").write_text("of the file\n")
    (tmp_path / "smtp_password").write_text("\n")
    settings = Settings(_secrets_dir=tmp_path)  # type: ignore[call-arg]
    assert settings.secret_key.get_secret_value() == "of the file"
    assert settings.smtp_password is not None
    assert settings.smtp_password.get_secret_value() == "of the environment"


def test_without_a_folder_of_secrets_the_environment_is_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    settings = Settings(_secrets_dir=tmp_path / "none")  # type: ignore[call-arg]
    assert settings.sqlalchemy_url == "postgresql+psycopg2://user:pass@host/name"


def test_the_example_file_names_every_setting_with_its_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (ROOT / "config.env.example").read_text()
    names = re.findall(r"^([A-Z0-9_]+)=", text, re.MULTILINE)
    assert sorted(names) == sorted(name.upper() for name in Settings.model_fields)
    (tmp_path / "config.env").write_text(text)
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    from_example = load_settings()
    (tmp_path / "config.env").unlink()
    assert from_example == load_settings()


@pytest.mark.parametrize(
    ("stores", "upload_threads", "checks", "io_threads", "pictures"),
    [
        ({"image_store": "local"}, 2, 2, 2, 2),
        ({"image_store": "local", "upload_threads": 9}, 9, 9, 2, 2),
        ({"image_store": "s3", "aws_s3_bucket": "scans"}, 32, 3, 32, 6),
        ({"cloudinary_url": "cloudinary://key:secret@cloud"}, 32, 3, 32, 6),  # pragma: allowlist secret
        ({"image_store": "s3", "aws_s3_bucket": "scans", "staging_store": "local"}, 2, 2, 32, 6),
        ({"image_store": "local", "aws_s3_bucket": "scans", "staging_store": "s3"}, 32, 3, 32, 6),
        ({"image_store": "s3", "aws_s3_bucket": "scans", "upload_threads": 2, "io_threads": 5}, 2, 2, 5, 5),
    ],
)
def test_many_threads_wait_for_stores_over_a_network_and_few_use_the_cores(
    stores: dict[str, Any],
    upload_threads: int,
    checks: int,
    io_threads: int,
    pictures: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    settings = Settings(_env_file=None, database_url=DATABASE, **stores)
    assert (settings.chosen_upload_threads, settings.bulk_checks) == (upload_threads, checks)
    assert (settings.chosen_io_threads, settings.pictures_at_once) == (io_threads, pictures)


def test_secrets_are_not_shown() -> None:
    settings = Settings(_env_file=None, database_url=DATABASE, secret_key="k" * 40)
    assert ":pass@" not in repr(settings)
    assert "kkkk" not in repr(settings)


PRODUCTION = {
    "FLASK_ENV": "production",
    "DATABASE_URL": DATABASE,
    "SECRET_KEY": "k" * 40,
    "PUBLIC_URL": "https://scans.example.org",
}
CLOUDINARY = {"CLOUDINARY_URL": "cloudinary://key:secret@cloud"}
S3 = {"AWS_S3_BUCKET": "bucket"}


def set_all(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_production_refuses_to_choose_a_store_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, PRODUCTION)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert [line.split(":")[0] for line in str(caught.value).splitlines()[1:]] == [
        "IMAGE_STORE",
        "REPORT_STORE",
    ]
    for name in ("CLOUDINARY_URL", "CLOUDINARY_API_SECRET", "AWS_S3_BUCKET", "IMAGE_FOLDER"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("values", "stores"),
    [
        (CLOUDINARY | S3, ("cloudinary", "s3")),
        (S3 | {"IMAGE_STORE": "s3"}, ("s3", "s3")),
        ({"IMAGE_STORE": "local", "REPORT_STORE": "local"}, ("local", "local")),
        ({"IMAGE_FOLDER": "/data/images", "REPORT_FOLDER": "/data/reports"}, ("local", "local")),
        (CLOUDINARY | {"REPORT_STORE": "local"}, ("cloudinary", "local")),
    ],
)
def test_production_takes_stores_that_are_chosen(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], stores: tuple[str, str]
) -> None:
    set_all(monkeypatch, PRODUCTION | values)
    settings = load_settings()
    assert (settings.chosen_image_store, settings.chosen_report_store) == stores


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"IMAGE_STORE": "cloudinary"}, "CLOUDINARY_URL"),
        ({"IMAGE_STORE": "cloudinary", "CLOUDINARY_CLOUD_NAME": "c"}, "CLOUDINARY_API_SECRET"),
        ({"CLOUDINARY_URL": "cloudinary://hush@cloud"}, "CLOUDINARY_URL"),
        ({"CLOUDINARY_URL": "https://hush:hush@cloud"}, "CLOUDINARY_URL"),
        ({"CLOUDINARY_URL": "cloudinary://:hush@cloud"}, "CLOUDINARY_URL"),
        ({"REPORT_STORE": "s3"}, "AWS_S3_BUCKET"),
        ({"STAGING_STORE": "s3"}, "AWS_S3_BUCKET"),
        ({"AWS_ACCESS_KEY_ID": "hush"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SECRET_ACCESS_KEY": "hush"}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_S3_ENDPOINT_URL": "minio:9000"}, "AWS_S3_ENDPOINT_URL"),
        ({"CLOUDINARY_DELIVERY_PREFIX": "res.cloudinary.com"}, "CLOUDINARY_DELIVERY_PREFIX"),
    ],
)
def test_half_a_store_is_named_in_development_too(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], named: str
) -> None:
    set_all(monkeypatch, {"DATABASE_URL": DATABASE} | values)
    with pytest.raises(SettingsError, match=named) as caught:
        load_settings()
    assert "hush" not in str(caught.value)


MAIL = {"SMTP_SERVER": "mail.example.org", "SMTP_FROM": "Scans <scans@example.org>"}
PARTS = {"DATABASE_URL": "", "DB_HOST": "host", "DB_NAME": "name", "DB_USER": "user"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://user:hush@host:port/name"),
        ("DATABASE_URL", "postgresql://user:hush@host:99999/name"),
        ("DATABASE_URL", "mysql://user:hush@host/name"),
        ("DATABASE_URL", "hush"),
        ("DB_HOST", "hush:5432"),
        ("DB_HOST", "hush/name"),
        ("DB_PORT", "0"),
        ("REDIS_URL", "hush"),
        ("REDIS_URL", "redis://:hush@host:port/0"),
        ("REDIS_URL", "redis://:hush@host:99999/0"),
        ("REDIS_URL", "redis://:hush@host/first"),
        ("REDIS_URL", "amqp://user:hush@host//"),
        ("PUBLIC_URL", "hush.example.org"),
        ("PUBLIC_URL", "https://[hush"),
        ("PUBLIC_URL", "https://user:hush@example.org"),
        ("PUBLIC_URL", "https://example.org/?hush=1"),
        ("PORTAL_URL", "javascript:hush"),
        ("SMTP_SERVER", "hush.example.org:587"),
        ("SMTP_SERVER", "smtp://hush.example.org"),
        ("SMTP_SERVER", "hush..example.org"),
        ("SMTP_FROM", "hush@"),
        ("SMTP_FROM", "hush"),
        ("AWS_S3_ENDPOINT_URL", "http://hush:port"),
    ],
)
def test_a_malformed_address_is_refused_at_start_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    given = {"DATABASE_URL": DATABASE} | MAIL | (PARTS if name.startswith("DB_") else {})
    set_all(monkeypatch, given | {name: value})
    with pytest.raises(SettingsError, match=rf"\n{name}: ") as caught:
        load_settings()
    assert len(str(caught.value).splitlines()) == 2
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://u:p%40ss@h.org/x?sslmode=require"),  # pragma: allowlist secret
        ("DATABASE_URL", "postgresql+psycopg2://user@[::1]:5432/name"),
        ("DATABASE_URL", "postgresql:///name?host=/var/run/postgresql"),
        ("REDIS_URL", "redis://host"),
        ("REDIS_URL", "rediss://u:p%40ss@h:6380/1?ssl_cert_reqs=required"),  # pragma: allowlist secret
        ("REDIS_URL", "redis://:word@[::1]:6379/0"),
        ("PUBLIC_URL", "http://127.0.0.1:5000"),
        ("PUBLIC_URL", "https://example.org/scans/"),
        ("PORTAL_URL", "https://portal.example.org/?a=1&b=2"),
        ("SMTP_SERVER", "::1"),
        ("SMTP_SERVER", "post.m\u00fcnchen.example"),
        ("SMTP_FROM", "scans@localhost"),
    ],
)
def test_unusual_addresses_are_taken(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    set_all(monkeypatch, {"DATABASE_URL": DATABASE} | MAIL | {name: value})
    load_settings()


def test_cloudinarys_address_wins_over_its_parts_and_may_be_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {
        "CLOUDINARY_CLOUD_NAME": "parts",
        "CLOUDINARY_API_KEY": "1",
        "CLOUDINARY_API_SECRET": "two",
        "DATABASE_URL": DATABASE,
    }
    set_all(monkeypatch, parts)
    assert load_settings().cloudinary_credentials == ("parts", "1", "two")
    monkeypatch.setenv("CLOUDINARY_URL", "cloudinary://12:a%2Fb@Cloud?secure=true")
    assert load_settings().cloudinary_credentials == ("Cloud", "12", "a/b")


def test_without_any_store_development_keeps_files_on_the_local_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    settings = load_settings()
    assert (settings.chosen_image_store, settings.chosen_report_store) == ("local", "local")
    assert settings.staging_store == "none"
