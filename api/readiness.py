"""Is everything up that the API needs? For `GET /api/ready` and the page about the system."""

from sqlalchemy.exc import SQLAlchemyError

from shared import heartbeat
from shared.database import test_connection
from shared.services import Services

WORKER_ROLES = ("scan", "report")


def checks_of(built: Services) -> tuple[dict[str, bool], list[str]]:
    """What is up, and the engines of the workers."""
    checks = {
        "database": test_connection(built.sessions),
        "broker": built.queue.is_up(),
        "image_store": built.images.is_up(),
        "report_store": built.reports.is_up(),
    }
    if built.staging is not None:
        checks["staging_store"] = built.staging.is_up()
    alive: set[str] = set()
    engines: list[str] = []
    if checks["database"]:
        try:
            with built.sessions() as session:
                alive, engines = heartbeat.roles_alive(session), heartbeat.engines_alive(session)
        except SQLAlchemyError:
            checks["database"] = False  # for example: not migrated yet
    return checks | {f"{role}_worker": role in alive for role in WORKER_ROLES}, engines
