"""Copies admins and patients of the replaced system, and makes patients for records whose owner is gone."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    cast,
    column,
    false,
    func,
    insert,
    literal,
    select,
    table,
    union,
)

from shared.migrations.old_tables import OldTable, copy, made_display_id

UNKNOWN_PATIENT = "Unknown patient (missing in the replaced system)"
NO_PASSWORD = ""  # no password has this hash
# Described here, not taken from the models: these follow the schema of later revisions.
ADMINS = table(
    "admins",
    *map(column, ("id", "username", "password_hash", "email", "role")),
    *map(column, ("has_generated_password", "created_at")),
)
PATIENTS = table(
    "patients",
    *map(column, ("id", "patient_id", "name", "email", "shares_email", "age", "gender", "phone", "address")),
    *map(column, ("username", "password_hash", "has_generated_password", "created_at", "updated_at")),
)


def copy_admins(connection: Connection, old: OldTable) -> None:
    values: dict[str, ColumnElement[Any]] = {
        "id": old.id,
        "username": func.coalesce(old.unique("username"), _made_name("admin_")),
        "password_hash": _password_hash(old),
        "email": old.filled("email"),
        "role": literal("admin"),
        "has_generated_password": false(),
        "created_at": old.created_at(),
    }
    copy(connection, ADMINS, old, values)


def copy_patients(connection: Connection, old: OldTable) -> None:
    """Where one e-mail address is several patients', all but the oldest are marked: they may share it."""
    values: dict[str, ColumnElement[Any]] = {
        "id": old.id,
        "patient_id": old.display_id("patient_id", "P"),
        "name": func.coalesce(old.text("name"), ""),
        "email": old.filled("email"),
        "shares_email": old.is_repeated("email"),
        "age": old.whole("age"),
        "gender": old.filled("gender"),
        "phone": old.filled("phone"),
        "address": old.filled("address"),
        "username": func.coalesce(old.unique("username"), _made_name("patient_")),
        "password_hash": _password_hash(old),
        "has_generated_password": false(),
        "created_at": old.created_at(),
        "updated_at": func.coalesce(old.moment("updated_at"), old.created_at()),
    }
    copy(connection, PATIENTS, old, values)


def add_missing_patients(connection: Connection, owned: Sequence[OldTable]) -> int:
    """Make a patient for each owner that scans or reports name and that is gone, under the id that they name.

    Returns the id of the one that owns what names nobody.
    """
    if not owned:
        return 0
    named = union(*(select(owner_of(old).label("id")) for old in owned)).subquery()
    known = select(func.coalesce(func.max(PATIENTS.c.id), 0)).scalar_subquery()
    highest = select(func.greatest(known, func.coalesce(func.max(named.c.id), 0)))
    nobody = int(connection.execute(highest).scalar_one()) + 1
    missing = select(func.coalesce(named.c.id, nobody).label("id")).subquery()
    is_known = select(PATIENTS.c.id).where(PATIENTS.c.id == missing.c.id).exists()
    values: dict[str, ColumnElement[Any]] = {
        "id": missing.c.id,
        "patient_id": made_display_id("P"),
        "name": literal(UNKNOWN_PATIENT),
        "shares_email": false(),
        "username": _made_name("patient_"),
        "password_hash": literal(NO_PASSWORD),
        "has_generated_password": false(),
        "created_at": func.now(),
        "updated_at": func.now(),
    }
    rows = select(*values.values()).where(~is_known)
    connection.execute(insert(PATIENTS).from_select(list(values), rows))
    return nobody


def owner_of(old: OldTable, nobody: int | None = None) -> ColumnElement[int | None]:
    """Whose record a row is: `nobody` where it names none."""
    owner = old.whole("patient_id")
    return owner if nobody is None else func.coalesce(owner, nobody)


def _password_hash(old: OldTable) -> ColumnElement[str]:
    return func.coalesce(func.btrim(old.text("password_hash")), NO_PASSWORD)


def _made_name(prefix: str) -> ColumnElement[str]:
    """A user name for an account without one, like those that we make."""
    return prefix + func.substr(cast(func.gen_random_uuid(), Text), 1, 8)
