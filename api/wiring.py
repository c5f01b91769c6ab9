"""The services of the running application, for views that need them."""

from flask import current_app

from shared.services import Services

EXTENSION = "brain_tumor_services"


def services() -> Services:
    built: Services = current_app.extensions[EXTENSION]
    return built
