"""Objects whose rows are gone: noted with the rows' removal, deleted after it."""

from collections.abc import Iterable
from contextlib import suppress

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.errors import ObjectNotFoundError
from shared.models import DoomedObject
from shared.originals import ADDRESSES
from shared.reconciliation.inventory import roles
from shared.services import Services

OBJECTS_AT_ONCE = 100


def doom(session: Session, objects: Iterable[tuple[str, str | None]]) -> None:
    """Note objects, as role and key, that are to be deleted once the transaction is committed."""
    rows = [
        {"role": role, "key": key}
        for role, key in objects
        if key is not None and not key.startswith(ADDRESSES)
    ]
    if rows:
        session.execute(insert(DoomedObject).on_conflict_do_nothing(), rows)


def delete_doomed(services: Services) -> int:
    """Delete what is noted, and the notes. Returns how many. Raises what the stores raise: run it again.

    Notes of a store that is not in use are left for the day when it is.
    """
    stores = roles(services)
    deleted = 0
    while objects := _noted(services, list(stores)):
        for role, key in objects:
            with suppress(ObjectNotFoundError):  # of a key that the replaced system made: the store has none
                stores[role].delete(key)
        with services.sessions.begin() as session:
            is_done = tuple_(DoomedObject.role, DoomedObject.key).in_(objects)
            session.execute(delete(DoomedObject).where(is_done))
        deleted += len(objects)
    return deleted


def _noted(services: Services, in_use: list[str]) -> list[tuple[str, str]]:
    query = (
        select(DoomedObject.role, DoomedObject.key)
        .where(DoomedObject.role.in_(in_use))
        .order_by(DoomedObject.role, DoomedObject.key)
        .limit(OBJECTS_AT_ONCE)
    )
    with services.sessions() as session:
        return [(row[0], row[1]) for row in session.execute(query)]
