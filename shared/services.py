"""The collaborators of every entry point, built in one place and passed down."""

from dataclasses import dataclass

from sqlalchemy.orm import Session, sessionmaker

from shared.database import make_engine, make_sessions
from shared.queue import Queue, make_queue
from shared.settings import Settings
from shared.storage import LocalStore, ObjectStore


@dataclass(frozen=True, slots=True)
class Services:
    """What the product works with. Tests pass other ones."""

    settings: Settings
    sessions: sessionmaker[Session]
    images: ObjectStore
    reports: ObjectStore
    queue: Queue


def build_services(settings: Settings) -> Services:
    """Build the collaborators that the settings choose. Opens no connection yet."""
    secret = settings.secret_key.get_secret_value()
    return Services(
        settings=settings,
        sessions=make_sessions(make_engine(settings)),
        images=LocalStore(settings.image_folder, "images", secret, settings.link_seconds),
        reports=LocalStore(settings.report_folder, "reports", secret, settings.link_seconds),
        queue=make_queue(settings),
    )
