"""The HTTP side: `create_app` wires blueprints and error handlers, and nothing else."""

from flask import Flask
from flask_cors import CORS

from api.auth import deny_by_default
from api.errors import register_error_handlers
from api.request_log import register_request_log
from api.routes import accounts, files, health, images, jobs, patients, reports, scans
from api.wiring import EXTENSION
from shared.services import Services
from shared.storage import LocalStore

FORM_MEMORY_SIZE = 500_000
MAX_FORM_PARTS = 1000


def create_app(services: Services) -> Flask:
    """The application over these services. Opens no connection."""
    app = Flask("api", static_folder=None)
    settings = services.settings
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_content_length,
        MAX_FORM_MEMORY_SIZE=FORM_MEMORY_SIZE,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
        DEBUG=settings.flask_debug,
    )
    app.extensions[EXTENSION] = services
    CORS(
        app,
        origins=list(settings.cors_origins),
        methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"],
        allow_headers=["Content-Type", "Authorization", "X-Requested-With", "Idempotency-Key", "Prefer"],
        expose_headers=["Location", "Retry-After", "ETag", "Link", "X-Request-ID"],
        supports_credentials=True,
        max_age=600,
    )
    register_request_log(app)
    register_error_handlers(app)
    deny_by_default(app)
    for routes in (health, accounts, patients, scans, images, jobs, reports):
        app.register_blueprint(routes.blueprint)
    for store in (services.images, services.reports):
        if isinstance(store, LocalStore):
            app.register_blueprint(files.blueprint_for(store))
    return app
