"""Requests that made work are remembered by their key, so that a repeat makes no more.

The key's row is written in the transaction that makes the work: either both are there or neither. Two
requests with the same key at the same moment meet at the table's primary key, and one of them loses before
it has made anything. Functions take a session and never commit.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.errors import ConflictError, RepeatedRequestError
from shared.models import IdempotencyKey

MAX_KEY_LENGTH = 255


def find(session: Session, caller: str, key: str, fingerprint: str) -> dict[str, Any] | None:
    """What the caller's first request with this key was answered, or None.

    Raises `ConflictError` if that request asked for something else.
    """
    row = session.execute(
        select(IdempotencyKey.fingerprint, IdempotencyKey.answer).where(
            IdempotencyKey.caller == caller, IdempotencyKey.key == key
        )
    ).one_or_none()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise ConflictError(
            "This Idempotency-Key was used for another request. Use a new key for each piece of work."
        )
    return dict(row.answer)


def remember(session: Session, caller: str, key: str, fingerprint: str, answer: dict[str, Any]) -> None:
    """Keep the answer. Raises `RepeatedRequestError` if a twin of this request came first."""
    session.add(IdempotencyKey(caller=caller, key=key, fingerprint=fingerprint, answer=answer))
    try:
        session.flush()
    except IntegrityError as error:
        raise RepeatedRequestError("The same request is being handled already.") from error


def forget_old(session: Session, days: float) -> None:
    """Remove keys that nobody will repeat any more."""
    session.execute(
        delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - timedelta(days=days))
    )
