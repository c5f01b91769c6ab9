"""The audit trail for admins: who did what, with filters, and a check of its newest rows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, request

from api.portal import places
from api.portal.audit_words import ACTIONS, action_words, actor_words
from api.portal.language import gettext
from api.portal.lists import position, split
from api.portal.pages import page_blueprint, show
from api.wiring import services
from shared import audit
from shared.models import AuditEvent

EVENTS_ON_PAGE = 50
CHECKED = 1000  # newest rows: some milliseconds, where the whole trail may take minutes
LONGEST = {"actor": 60, "action": 60, "subject": 120}

blueprint = page_blueprint("audit_pages")


@dataclass(frozen=True, slots=True)
class EventView:
    """One row of the trail. Words are None where these pages know none; pages, where there is none."""

    id: int
    at: datetime
    actor: str
    actor_text: str | None
    actor_page: str | None
    action: str
    action_text: str | None
    subject: str
    subject_page: str | None
    request_id: str | None
    details: dict[str, Any]


@blueprint.get("/audit")
def list_events() -> Response:
    """Acts that match, newest first, a page of them; `?check=newest` checks the end of the chain, too."""
    before, filters = position(), _filters()
    with services().sessions() as session:
        rows = audit.events(session, EVENTS_ON_PAGE + 1, before, **filters)
        verdict = audit.verify(session, newest=CHECKED) if request.args.get("check") == "newest" else None
    shown, older = split(rows, EVENTS_ON_PAGE, lambda row: row.id)
    return show(
        "audit_trail.html",
        events=[_view(row) for row in shown],
        actions=_choices(filters.get("action")),
        filters=filters,
        older=older,
        is_first=before is None,
        verdict=verdict,
    )


def _filters() -> dict[str, str]:
    """What the form asks for; a text that no row can have finds nothing."""
    asked = {name: request.args.get(name, "").replace("\0", "\N{REPLACEMENT CHARACTER}") for name in LONGEST}
    return {name: text.strip()[: LONGEST[name]] for name, text in asked.items() if text.strip()}


def _choices(chosen: str | None) -> list[tuple[str, str]]:
    """All acts by their words, and the chosen one even where it has none."""
    known = sorted(((name, str(gettext(text))) for name, text in ACTIONS.items()), key=lambda pair: pair[1])
    others = [(chosen, chosen)] if chosen and chosen not in ACTIONS else []
    return [("", str(gettext("All"))), *known, *others]


def _view(event: AuditEvent) -> EventView:
    return EventView(
        id=event.id,
        at=event.at,
        actor=event.actor,
        actor_text=actor_words(event.actor),
        actor_page=places.page_of(event.actor),
        action=event.action,
        action_text=action_words(event.action),
        subject=event.subject,
        subject_page=places.page_of(event.subject),
        request_id=event.request_id,
        details=event.details or {},
    )
