"""The product's own web pages, over the same functions as the JSON routes. See docs/portal.md."""

from flask import Flask

from api.portal import account, language, patient, reviews, start

BLUEPRINTS = (start.root, account.blueprint, patient.blueprint, reviews.blueprint, start.blueprint)


def register_pages(app: Flask) -> None:
    """Add all pages to the application. They are no part of the described API."""
    language.set_up(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
