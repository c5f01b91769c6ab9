"""Is the process up, and is everything it needs?"""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from api.auth import public
from api.errors import RETRY_AFTER_S, error_body
from api.wiring import services
from shared import heartbeat
from shared.database import test_connection

blueprint = Blueprint("health", __name__)
WORKER_ROLES = ("scan", "report")


@blueprint.get("/api/health")
@public
def health() -> ResponseReturnValue:
    """Up, whatever else is down."""
    return jsonify(status="healthy", message="Brain Tumor Detection API is running")


@blueprint.get("/api/ready")
@public
def ready() -> ResponseReturnValue:
    """The deep check: 503 names what is down."""
    checks = _checks()
    down = sorted(name for name, is_up in checks.items() if not is_up)
    if not down:
        return jsonify(success=True, data={"status": "ready", "checks": checks})
    body = error_body(f"Not ready: {', '.join(down)} down.", "SERVICE_UNAVAILABLE")
    return {**body, "details": {"checks": checks}}, 503, {"Retry-After": str(RETRY_AFTER_S)}


def _checks() -> dict[str, bool]:
    built = services()
    checks = {
        "database": test_connection(built.sessions),
        "broker": built.queue.is_up(),
        "image_store": built.images.is_up(),
        "report_store": built.reports.is_up(),
    }
    alive: set[str] = set()
    if checks["database"]:
        try:
            with built.sessions() as session:
                alive = heartbeat.roles_alive(session)
        except SQLAlchemyError:
            checks["database"] = False  # for example: not migrated yet
    return checks | {f"{role}_worker": role in alive for role in WORKER_ROLES}
