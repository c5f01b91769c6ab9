"""The collaborators of every entry point, built in one place and passed down."""

from dataclasses import dataclass

from sqlalchemy.orm import Session, sessionmaker

from shared.database import PRODUCT, make_engine, make_sessions
from shared.queue import Queue, make_queue
from shared.settings import Settings
from shared.storage import ObjectStore
from shared.storage.choice import choose_stores


@dataclass(frozen=True, slots=True)
class Services:
    """What the product works with. Tests pass other ones."""

    settings: Settings
    sessions: sessionmaker[Session]
    images: ObjectStore
    reports: ObjectStore
    queue: Queue
    staging: ObjectStore | None = None  # where uploads wait for the image store; None: they do not


def build_services(settings: Settings, name: str = PRODUCT) -> Services:
    """Build the collaborators that the settings choose. Opens no connection yet.

    `name` says in `pg_stat_activity` whose the connections to Postgres are.
    """
    stores = choose_stores(settings)
    return Services(
        settings=settings,
        sessions=make_sessions(make_engine(settings, name)),
        images=stores.images,
        reports=stores.reports,
        queue=make_queue(settings),
        staging=stores.staging,
    )
