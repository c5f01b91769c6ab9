"""The configuration is complete, documented, and read in one place."""

import re
from pathlib import Path

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


def test_secrets_are_not_shown() -> None:
    settings = Settings(_env_file=None, database_url=DATABASE, secret_key="k" * 40)
    assert ":pass@" not in repr(settings)
    assert "kkkk" not in repr(settings)
