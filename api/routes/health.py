"""Is the process up, and is everything it needs?"""

from flask import jsonify
from flask_openapi3 import APIBlueprint, Tag

from api.auth import public
from api.documentation import ERRORS, NO_LOGIN
from api.errors import RETRY_AFTER_S, error_body
from api.readiness import checks_of
from api.schemas.administration import HealthAnswer, ReadyAnswer
from api.view_result import ViewResult
from api.wiring import services
from shared import __version__

blueprint = APIBlueprint("health", __name__, abp_tags=[Tag(name="Health")], abp_responses=ERRORS)


@blueprint.get("/api/health", responses={200: HealthAnswer}, security=NO_LOGIN)
@public
def health() -> ViewResult:
    """Up, whatever else is down."""
    return jsonify(status="healthy", message="Brain Tumor Detection API is running", version=__version__)


@blueprint.get("/api/ready", responses={200: ReadyAnswer}, security=NO_LOGIN)
@public
def ready() -> ViewResult:
    """The deep check: 503 names what is down."""
    checks, engines = checks_of(services())
    down = sorted(name for name, is_up in checks.items() if not is_up)
    if not down:
        return jsonify(success=True, data={"status": "ready", "checks": checks, "engines": engines})
    body = error_body(f"Not ready: {', '.join(down)} down.", "SERVICE_UNAVAILABLE")
    return {**body, "details": {"checks": checks}}, 503, {"Retry-After": str(RETRY_AFTER_S)}
