"""The product's own web pages, over the same functions as the JSON routes. See docs/portal.md."""

from flask import Flask

from api.portal import (
    account,
    audit_trail,
    dashboard,
    figures,
    language,
    patient,
    patient_changes,
    reviews,
    staff_batches,
    staff_jobs,
    staff_patients,
    staff_reports,
    staff_scans,
    start,
    system,
    system_facts,
    upload,
)

BLUEPRINTS = (
    start.root,
    account.blueprint,
    patient.blueprint,
    dashboard.blueprint,
    reviews.blueprint,
    staff_patients.blueprint,
    patient_changes.blueprint,
    upload.blueprint,
    staff_scans.blueprint,
    staff_batches.blueprint,
    staff_reports.blueprint,
    staff_jobs.blueprint,
    audit_trail.blueprint,
    system.blueprint,
    start.blueprint,
)


def register_pages(app: Flask) -> None:
    """Add all pages to the application. They are no part of the described API."""
    for part in (language, figures, system_facts):
        part.set_up(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
