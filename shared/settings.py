"""All settings, in one class. Nothing else in the product reads the environment.

Values come from the environment first, then from `config.env` in the working directory. A missing or wrong
value is reported by its name, all of them at once (`load_settings`).
"""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.images import ImageLimits

DEVELOPMENT_SECRET = "development-only-secret-key"  # noqa: S105 - refused in production, see below
MIN_SECRET_LENGTH = 32


class SettingsError(Exception):
    """The configuration is incomplete or wrong; the message lists every variable to mend, a line each."""


class Settings(BaseSettings):
    """What an operator can choose. Field names in capitals are the names of the environment variables."""

    model_config = SettingsConfigDict(env_file="config.env", extra="ignore", frozen=True)

    # How the process runs
    flask_env: Literal["development", "production"] = Field(
        "development", description="production refuses development secrets and debug mode"
    )
    flask_debug: bool = Field(default=False, description="Flask's debug mode; refused in production")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least severe log line"
    )
    secret_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="signs image links; 32 random characters or more"
    )

    # Postgres
    database_url: SecretStr | None = Field(None, description="postgresql://… ; wins over DB_*")
    db_host: str | None = Field(None, description="database host")
    db_port: int = Field(5432, description="database port")
    db_name: str | None = Field(None, description="database name")
    db_user: str | None = Field(None, description="database user")
    db_password: SecretStr | None = Field(None, description="database password")
    db_pool_size: int = Field(8, ge=1, le=100, description="connections that each process keeps at most")

    # Redis
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="broker of the wake-up messages"
    )

    # Storage
    image_folder: Path = Field(
        Path(".local/images"), description="local store of originals, heatmaps, overlays"
    )
    report_folder: Path = Field(Path("reports"), description="local store of PDF reports")
    link_seconds: int = Field(3600, ge=30, description="how long a signed image link works")
    public_url: str = Field("", description="base URL of the API in links; empty: taken from the request")

    # Requests
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("http://localhost:3000", "http://127.0.0.1:3000"),
        description="allowed browser origins, comma separated",
    )
    max_content_length: int = Field(16 * 1024 * 1024, ge=1024, description="largest request in bytes")
    max_files_per_upload: int = Field(200, ge=1, description="most files in one upload request")
    max_image_pixels: int = Field(40_000_000, ge=1, description="most pixels of one image")
    max_image_side: int = Field(16_384, ge=1, description="most pixels on one side of an image")
    max_wait_seconds: float = Field(25, ge=0, description="cap of `Prefer: wait=N` and `?wait=N`")
    upload_wait_seconds: float = Field(0, ge=0, description="wait for clients that send no `Prefer`")
    session_hours: float = Field(12, gt=0, description="how long a login lasts")
    admin_password: SecretStr | None = Field(
        None,
        min_length=8,
        description="password of the admin that `api.cli add-admin` makes; empty: generated",
    )

    # Workers
    worker_role: Literal["scan", "report"] = Field(
        "scan", description="scan: loads the model, needs one device; report: PDF reports and housekeeping"
    )
    model_folder: Path = Field(
        Path("model_weights"), description="folder of weights and manifest.json, or a .pth file"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the model runs")
    engine: Literal["auto", "torch", "openvino", "openvino-int8"] = Field(
        "auto", description="what runs the model; auto: the fastest that was measured to answer the same"
    )
    batch_size: int = Field(16, ge=1, le=1024, description="most images in one forward pass")
    io_threads: int = Field(
        2,
        ge=1,
        le=64,
        description="threads that fetch, draw and store beside the model; more for stores over a network",
    )
    lease_seconds: float = Field(
        60, ge=2, description="silence after which a running job is taken from its worker"
    )
    max_attempts: int = Field(4, ge=1, le=20, description="attempts of a job before it fails for good")
    retry_seconds: float = Field(
        5, ge=0, description="pause before the second attempt; doubles with each further"
    )
    drain_seconds: float = Field(30, ge=1, description="how long one task drains the backlog before it ends")
    sweep_seconds: float = Field(5, gt=0, description="how often leases and forgotten rows are looked for")

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
        problems = []
        if self.database_url is None and not (self.db_host and self.db_name and self.db_user):
            problems.append("DATABASE_URL (or DB_HOST, DB_NAME and DB_USER): says where Postgres is")
        if self.flask_env == "production":
            secret = self.secret_key.get_secret_value()
            if secret == DEVELOPMENT_SECRET or len(secret) < MIN_SECRET_LENGTH:
                problems.append(f"SECRET_KEY: production needs {MIN_SECRET_LENGTH} random characters or more")
            if self.flask_debug:
                problems.append("FLASK_DEBUG: must be off in production")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def sqlalchemy_url(self) -> str:
        """The database URL for SQLAlchemy with psycopg2. Holds the password: never log it."""
        if self.database_url is not None:
            _, _, rest = self.database_url.get_secret_value().partition("://")
            return f"postgresql+psycopg2://{rest}"
        password = self.db_password.get_secret_value() if self.db_password else ""
        credentials = f"{quote(self.db_user or '', safe='')}:{quote(password, safe='')}"
        return f"postgresql+psycopg2://{credentials}@{self.db_host}:{self.db_port}/{self.db_name}"

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(max_pixels=self.max_image_pixels, max_side=self.max_image_side)


def load_settings() -> Settings:
    """Settings from the environment and `config.env`.

    Raises `SettingsError` naming every variable that is missing or wrong, never its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_input=False, include_url=False):
            name = str(problem["loc"][0]).upper() if problem["loc"] else ""
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {message}" if name else message)
        raise SettingsError("The configuration needs mending:\n" + "\n".join(lines)) from None
