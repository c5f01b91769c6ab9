"""The HTTP side: `create_app` wires blueprints and error handlers, and nothing else."""

from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore

from flask import Flask
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from api import documentation
from api.auth import deny_by_default
from api.documentation import make_documented_app
from api.errors import refuse_invalid, register_error_handlers
from api.json_answers import FastJsonProvider
from api.links import refuse_nameless_hosts
from api.pace import Pace
from api.poll_lane import POLL_LANE, PollLane
from api.portal import register_pages
from api.rate_limit import RateLimit
from api.request_log import register_request_log
from api.routes import (
    accounts,
    administration,
    batches,
    files,
    health,
    jobs,
    patients,
    reports,
    reviews,
    scans,
)
from api.routes import portal as own_records  # not `portal`: that is the package with the pages
from api.wiring import EXTENSION, Wiring
from shared.services import Services
from shared.storage import LocalStore

FORM_MEMORY_SIZE = 500_000
MIN_FORM_PARTS = 1000  # so that most requests of too many files are told so, and not just that they are large
OTHER_FORM_PARTS = 20  # beside files


def create_app(services: Services) -> Flask:
    """The application over these services. Opens no connection."""
    app = make_documented_app()
    app.json = FastJsonProvider(app)
    app.validation_error_callback = refuse_invalid
    app.url_map.merge_slashes = False  # else /api//jobs is redirected, to whatever host the request named
    settings = services.settings
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_content_length,
        MAX_FORM_MEMORY_SIZE=FORM_MEMORY_SIZE,
        MAX_FORM_PARTS=max(settings.max_files_per_upload + OTHER_FORM_PARTS, MIN_FORM_PARTS),
        DEBUG=settings.flask_debug,
    )
    wiring = Wiring(
        services=services,
        rate_limit=RateLimit(settings),
        upload_threads=ThreadPoolExecutor(settings.chosen_upload_threads, "upload"),
        bulk_checks=Semaphore(settings.bulk_checks),
        pace=Pace(),
        waiting_slots=Semaphore(settings.max_waiting_requests),
    )
    app.extensions[EXTENSION] = wiring
    CORS(
        app,
        origins=list(settings.cors_origins),
        methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"],
        allow_headers=["Content-Type", "Authorization", "X-Requested-With", "Idempotency-Key", "Prefer"],
        expose_headers=["Location", "Retry-After", "ETag", "Link", "X-Request-ID"],
        supports_credentials=True,
        max_age=600,
    )
    lane = PollLane(app, wiring)
    app.extensions[POLL_LANE] = lane
    app.wsgi_app = lane  # type: ignore[method-assign]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    register_request_log(app)
    register_error_handlers(app)
    refuse_nameless_hosts(app)
    deny_by_default(app)
    described = (health, accounts, patients, own_records, scans, reviews, jobs, batches, reports)
    for routes in (*described, administration):
        app.register_api(routes.blueprint)
    app.register_blueprint(documentation.blueprint)
    register_pages(app)
    for store in (services.images, services.reports, services.staging):
        if isinstance(store, LocalStore):
            app.register_blueprint(files.blueprint_for(store))
    return app
