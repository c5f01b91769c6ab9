"""All settings, in one class. Nothing else in the product reads the environment.

Values come from the environment first, then from `config.env` in the working directory. A missing or wrong
value is reported by its name, all of them at once (`load_settings`).
"""

from typing import Self

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.configuration.accounts import AccountSettings
from shared.configuration.mail import MailSettings
from shared.configuration.process import ConnectionSettings, ProcessSettings
from shared.configuration.requests import RequestSettings
from shared.configuration.storage import StorageSettings
from shared.configuration.workers import WorkerSettings


class SettingsError(Exception):
    """The configuration is incomplete or wrong; the message lists every variable to mend, a line each."""


class Settings(
    ProcessSettings,
    ConnectionSettings,
    StorageSettings,
    RequestSettings,
    AccountSettings,
    MailSettings,
    WorkerSettings,
    BaseSettings,
):
    """What an operator can choose. Field names in capitals are the names of the environment variables."""

    model_config = SettingsConfigDict(env_file="config.env", extra="ignore", frozen=True)

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
