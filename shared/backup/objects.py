"""Bringing a backup's objects into stores that lack them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import and_, select, tuple_
from sqlalchemy.orm import Session

from shared.backup.inventory import NAMED, note_named
from shared.backup.manifest import Manifest, object_file
from shared.backup.parts import Line, lines_of
from shared.reconciliation.inventory import STORED, roles, taken
from shared.services import Services
from shared.storage.choice import IMAGES, REPORTS, STAGING

OBJECTS_AT_ONCE = 500
EXAMPLES = 20
_TYPES = {"png": "image/png", "pdf": "application/pdf"}


@dataclass(frozen=True, slots=True)
class Brought:
    """What was put back. `missing` objects are in neither store nor backup; `examples`: role and key."""

    back: int
    missing: int
    examples: Sequence[tuple[str, str]]


def bring_objects(services: Services, folder: Path, manifest: Manifest) -> Brought:
    """Put back what rows name, stores lack and the backup has. What was removed on purpose stays away.

    Raises `ConflictError` while other maintenance is going on, and what the stores raise.
    """
    back = missing = 0
    examples: list[tuple[str, str]] = []
    with taken(services) as session:
        note_named(session)
        session.commit()
        for line in _wanted(session, lines_of(folder, manifest.inventory)):
            if _is_stored(services, line):
                continue
            if manifest.has_objects and line["stored"]:
                _put_back(services, folder, line)
                back += 1
                continue
            missing += 1
            if len(examples) < EXAMPLES:
                examples.append((str(line["role"]), str(line["key"])))
    return Brought(back, missing, examples)


def _wanted(session: Session, lines: Iterator[Line]) -> Iterator[Line]:
    """Those of the inventory that a row still names, and that the stores' listings lack."""
    while page := list(islice(lines, OBJECTS_AT_ONCE)):
        names = [(str(line["role"]), str(line["key"])) for line in page]
        is_on_page = tuple_(STORED.c.role, STORED.c.key).in_(names)
        listed = {
            (row[0], row[1]) for row in session.execute(select(STORED.c.role, STORED.c.key).where(is_on_page))
        }
        named = _named(session, [key for _, key in names])
        session.commit()
        yield from (
            line for line, name in zip(page, names, strict=True) if name not in listed and name[1] in named
        )


def _named(session: Session, keys: Sequence[str]) -> set[str]:
    """Those of the keys that a row names now."""
    is_named = and_(NAMED.c.role.in_((IMAGES, REPORTS, STAGING)), NAMED.c.key.in_(keys))
    return set(session.scalars(select(NAMED.c.key).where(is_named)))


def _is_stored(services: Services, line: Line) -> bool:
    """Asked once more, by its key. What waited in staging may be among the images since."""
    stores, role, key = roles(services), str(line["role"]), str(line["key"])
    places = (role, IMAGES) if role == STAGING else (role,)
    return any(place in stores and stores[place].exists(key) for place in places)


def _put_back(services: Services, folder: Path, line: Line) -> None:
    stores, role, key = roles(services), str(line["role"]), str(line["key"])
    store = stores.get(role, services.images)  # nothing waits in staging where there is none
    store.put(key, object_file(folder, line).read_bytes(), _content_type(key))


def _content_type(key: str) -> str:
    return _TYPES.get(key.rsplit(".", 1)[-1], "image/jpeg")
