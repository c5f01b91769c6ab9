"""How the processes run, and where Postgres and Redis are."""

from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, Field, SecretStr

from shared import failpoints
from shared.configuration.addresses import is_host, is_postgres_address, is_redis_address

DEVELOPMENT_SECRET = "development-only-secret-key"  # noqa: S105 - refused in production, see below
MIN_SECRET_LENGTH = 32


class ProcessSettings(BaseModel):
    """Mode, logs and the secret."""

    flask_env: Literal["development", "production"] = Field(
        "development", description="production refuses development secrets, debug mode and plain HTTP"
    )
    flask_debug: bool = Field(default=False, description="Flask's debug mode; refused in production")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least severe log line"
    )
    secret_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        description="signs links and encrypts passwords that wait to be mailed; 32 random characters or more",
    )
    fail_at: str | None = Field(
        None,
        pattern=rf"^{failpoints.PATTERN}$",
        description="point:action[:count] of a fault test (shared/failpoints.py); refused in production",
    )

    @property
    def is_production(self) -> bool:
        return self.flask_env == "production"

    def process_problems(self) -> list[str]:
        if not self.is_production:
            return []
        problems = []
        secret = self.secret_key.get_secret_value()
        if secret == DEVELOPMENT_SECRET or len(secret) < MIN_SECRET_LENGTH:
            problems.append(f"SECRET_KEY: production needs {MIN_SECRET_LENGTH} random characters or more")
        if self.flask_debug:
            problems.append("FLASK_DEBUG: must be off in production")
        if self.fail_at is not None:
            problems.append("FAIL_AT: is for tests and must be empty in production")
        return problems


class ConnectionSettings(BaseModel):
    """Postgres and Redis."""

    database_url: SecretStr | None = Field(None, description="postgresql://… ; wins over DB_*")
    db_host: str | None = Field(None, description="database host")
    db_port: int = Field(5432, ge=1, le=65_535, description="database port")
    db_name: str | None = Field(None, description="database name")
    db_user: str | None = Field(None, description="database user")
    db_password: SecretStr | None = Field(None, description="database password")
    db_pool_size: int = Field(8, ge=1, le=100, description="connections that each process keeps at most")
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="broker of the wake-up messages"
    )

    @property
    def sqlalchemy_url(self) -> str:
        """The database URL for SQLAlchemy with psycopg2. Holds the password: never log it."""
        if self.database_url is not None:
            _, _, rest = self.database_url.get_secret_value().partition("://")
            return f"postgresql+psycopg2://{rest}"
        password = self.db_password.get_secret_value() if self.db_password else ""
        credentials = f"{quote(self.db_user or '', safe='')}:{quote(password, safe='')}"
        return f"postgresql+psycopg2://{credentials}@{self.db_host}:{self.db_port}/{self.db_name}"

    def connection_problems(self) -> list[str]:
        problems = []
        if self.database_url is not None:
            if not is_postgres_address(self.database_url.get_secret_value()):
                example = "postgresql://user:password@host:5432/name"  # pragma: allowlist secret
                problems.append(f"DATABASE_URL: must look like {example}")
        elif not (self.db_host and self.db_name and self.db_user):
            problems.append("DATABASE_URL (or DB_HOST, DB_NAME and DB_USER): says where Postgres is")
        elif not is_host(self.db_host.strip("[]")) or not is_postgres_address(self.sqlalchemy_url):
            problems.append("DB_HOST: must be a host name or an IP address, without a port")
        if not is_redis_address(self.redis_url.get_secret_value()):
            problems.append("REDIS_URL: must look like redis://:password@host:6379/0")
        return problems
