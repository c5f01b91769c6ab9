"""All settings, in one class. Nothing else in the product reads the environment.

Values come from files of secrets first (`/run/secrets/db_password` is DB_PASSWORD), then from the
environment, then from `config.env` in the working directory. A missing or wrong value is reported by its
name, all of them at once (`load_settings`).
"""

import os
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from shared.configuration.accounts import AccountSettings
from shared.configuration.mail import MailSettings
from shared.configuration.monitoring import MonitoringSettings
from shared.configuration.process import ConnectionSettings, ProcessSettings
from shared.configuration.requests import RequestSettings
from shared.configuration.retention import RetentionSettings
from shared.configuration.reviews import ReviewSettings
from shared.configuration.storage import StorageSettings
from shared.configuration.workers import WorkerSettings


class SettingsError(Exception):
    """The configuration is incomplete or wrong; the message lists every variable to mend, a line each."""


LOCAL_THREADS = 2
REMOTE_UPLOAD_THREADS = 32  # more than a request of the batch client has files: it waits for its store once
REMOTE_IO_THREADS = 32  # fetch two batches of the usual size; twice as many store two pictures of each scan
SECRETS = Path("/run/secrets")  # where Docker and Kubernetes put them


class SecretFiles(SecretsSettingsSource):
    """A file for each value, named like its variable. No folder, no file or an empty one: no value."""

    def __call__(self) -> dict[str, Any]:
        if self.secrets_dir is None or not Path(str(self.secrets_dir)).is_dir():
            return {}
        try:
            return {name: value for name, value in super().__call__().items() if value != ""}
        except OSError as error:
            name = Path(str(error.filename)).name.upper()
            raise SettingsError(
                f"{name}: {error.filename} cannot be read ({error.strerror}). Let the process' user read it."
            ) from None


class Settings(
    ProcessSettings,
    ConnectionSettings,
    StorageSettings,
    RequestSettings,
    AccountSettings,
    MailSettings,
    WorkerSettings,
    MonitoringSettings,
    ReviewSettings,
    RetentionSettings,
    BaseSettings,
):
    """What an operator can choose. Field names in capitals are the names of the environment variables."""

    model_config = SettingsConfigDict(env_file="config.env", secrets_dir=SECRETS, extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Files win: they were given to this process, where config.env may be the example's copy."""
        assert isinstance(file_secret_settings, SecretsSettingsSource)  # noqa: S101 - for the type checker
        files = SecretFiles(settings_cls, file_secret_settings.secrets_dir)
        return init_settings, files, env_settings, dotenv_settings

    @property
    def chosen_upload_threads(self) -> int:
        """Threads that wait for a network cost little; more of them at a disk only take turns."""
        default = REMOTE_UPLOAD_THREADS if self.takes_uploads_over_network else LOCAL_THREADS
        return self.upload_threads or default

    @property
    def bulk_checks(self) -> int:
        """Pictures of bulk uploads that are checked at once: of the cores, polls need some too."""
        if not self.takes_uploads_over_network:
            return self.chosen_upload_threads
        return min(self.chosen_upload_threads, max(LOCAL_THREADS, (os.cpu_count() or 1) // 2))

    @property
    def chosen_io_threads(self) -> int:
        """Enough that batches of the usual size wait for each of their steps once, not once per picture."""
        default = REMOTE_IO_THREADS if self.keeps_pictures_over_network else LOCAL_THREADS
        return self.io_threads or default

    @property
    def pictures_at_once(self) -> int:
        """Pictures that a worker decodes or draws at once: many threads may wait, few may use the cores."""
        return min(self.chosen_io_threads, max(LOCAL_THREADS, os.cpu_count() or 1))

    @model_validator(mode="before")
    @classmethod
    def _empty_means_unset(cls, values: dict[str, object]) -> dict[str, object]:
        """`NAME=` in config.env means the default, as in the example file."""
        return {key: value for key, value in values.items() if value != ""}

    @model_validator(mode="before")
    @classmethod
    def _split_origins(cls, values: dict[str, object]) -> dict[str, object]:
        origins = values.get("cors_origins")
        if isinstance(origins, str):
            values["cors_origins"] = tuple(
                part.strip().rstrip("/") for part in origins.split(",") if part.strip()
            )
        return values

    @model_validator(mode="after")
    def _complete(self) -> Self:
        is_production = self.is_production
        problems = [
            *self.connection_problems(),
            *self.process_problems(),
            *self.storage_problems(is_production),
            *self.request_problems(is_production),
            *self.account_problems(is_production),
            *self.mail_problems(is_production),
            *self.worker_problems(is_production),
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self


def load_settings() -> Settings:
    """Settings from the environment and `config.env`.

    Raises `SettingsError` naming every variable that is missing or wrong, never its value.
    """
    lines: list[str] = []
    set_aside: dict[str, object] = {}
    while True:
        try:
            built = Settings(**set_aside)  # type: ignore[arg-type]
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False)
        else:
            if lines:
                raise SettingsError(_sentence(lines))
            return built
        lines += [_line(problem) for problem in wrong]
        names = [str(problem["loc"][0]) for problem in wrong if problem["loc"]]
        if not names:
            raise SettingsError(_sentence(lines))
        # What spans several variables is checked only once each is valid by itself: go on with defaults.
        set_aside |= {name: Settings.model_fields[name].default for name in names}


def _line(problem: ErrorDetails) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    return f"{str(problem['loc'][0]).upper()}: {message}" if problem["loc"] else message


def _sentence(lines: list[str]) -> str:
    return "The configuration needs mending:\n" + "\n".join(lines)
