"""Acts of this request for the audit trail."""

from typing import Any

from flask import g
from sqlalchemy.orm import Session

from shared import audit


def note(session: Session, action: str, subject: str, **details: Any) -> None:
    """Record what the caller of this request does, in the transaction that does it. Ids and counts only."""
    actor = str(g.get("caller") or audit.ANONYMOUS)
    audit.record(session, actor, action, subject, g.get("request_id"), details or None)
