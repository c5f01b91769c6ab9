"""How the system is: versions, what is up, workers, queues, the model, and how it is set up."""

from flask import Response, request

from api.auth import for_staff
from api.portal import model_card, system_facts
from api.portal.pages import page_blueprint, show
from api.wiring import services

EVERY_SECONDS = 10

blueprint = page_blueprint("system_pages")


@blueprint.get("/system")
@for_staff
def show_system() -> Response:
    """For whoever runs it, and for whoever wonders why nothing comes."""
    built = services()
    now = system_facts.state()
    with built.sessions() as session:
        versions = system_facts.versions(session)
    card = model_card.read(built.settings.model_folder)
    return show(
        "system.html",
        now=now,
        versions=versions,
        card=card,
        running=sorted({worker.model for worker in now.workers if worker.is_alive and worker.model}),
        settings=system_facts.chosen(built.settings),
        flower=built.settings.flower_url,
        every=None if request.args.get("live") == "off" else EVERY_SECONDS,
    )
