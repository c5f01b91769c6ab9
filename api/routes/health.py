"""Is the process up, and is everything it needs?"""

from flask import jsonify
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy.exc import SQLAlchemyError

from api.auth import public
from api.documentation import ERRORS, NO_LOGIN
from api.errors import RETRY_AFTER_S, error_body
from api.schemas.administration import HealthAnswer, ReadyAnswer
from api.view_result import ViewResult
from api.wiring import services
from shared import __version__, heartbeat
from shared.database import test_connection

blueprint = APIBlueprint("health", __name__, abp_tags=[Tag(name="Health")], abp_responses=ERRORS)
WORKER_ROLES = ("scan", "report")


@blueprint.get("/api/health", responses={200: HealthAnswer}, security=NO_LOGIN)
@public
def health() -> ViewResult:
    """Up, whatever else is down."""
    return jsonify(status="healthy", message="Brain Tumor Detection API is running", version=__version__)


@blueprint.get("/api/ready", responses={200: ReadyAnswer}, security=NO_LOGIN)
@public
def ready() -> ViewResult:
    """The deep check: 503 names what is down."""
    checks, engines = _checks()
    down = sorted(name for name, is_up in checks.items() if not is_up)
    if not down:
        return jsonify(success=True, data={"status": "ready", "checks": checks, "engines": engines})
    body = error_body(f"Not ready: {', '.join(down)} down.", "SERVICE_UNAVAILABLE")
    return {**body, "details": {"checks": checks}}, 503, {"Retry-After": str(RETRY_AFTER_S)}


def _checks() -> tuple[dict[str, bool], list[str]]:
    """What is up, and the engines of the workers."""
    built = services()
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
