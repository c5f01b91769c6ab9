"""A database of the test's own, whose owner may do no more than an owner may."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url, text

from shared.database import make_engine
from shared.settings import Settings


@contextmanager
def fresh_database(settings: Settings) -> Iterator[Settings]:
    """Settings for an empty database on the same server, whose role is no superuser."""
    name = f"fresh_{uuid.uuid4().hex}"
    server = make_engine(settings).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'"))
        connection.execute(text(f"CREATE DATABASE {name} OWNER {name}"))
    assert settings.database_url is not None
    url = make_url(settings.database_url.get_secret_value())
    url = url.set(username=name, password=name, database=name)
    secret = type(settings.database_url)(url.render_as_string(hide_password=False))
    try:
        yield settings.model_copy(update={"database_url": secret})
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
            connection.execute(text(f"DROP ROLE {name}"))
        server.dispose()
