"""Reads a table of the replaced system, whose columns may be missing or of another type than ours.

Each method gives an SQL expression for one column; a column that is not there reads as NULL. Raises
`ConflictError` for a table that cannot be the replaced system's.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Integer,
    Numeric,
    TableClause,
    Text,
    case,
    cast,
    column,
    func,
    insert,
    inspect,
    null,
    select,
    table,
)

from shared.errors import ConflictError

REPLACED = "replaced"  # the schema that the old tables are moved to
_WHOLE = r"^\s*[-+]?\d{1,9}\s*$"
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*%?\s*$"


class OldTable:
    """One table of the replaced system, set aside."""

    def __init__(self, connection: Connection, name: str) -> None:
        found = inspect(connection).get_columns(name, schema=REPLACED)
        self._types: dict[str, Any] = {item["name"]: item["type"] for item in found}
        if "id" not in self._types:
            raise ConflictError(f"The table {name} has no column id: it is not the replaced system's.")
        self.rows = table(name, *(column(key, kind) for key, kind in self._types.items()), schema=REPLACED)
        self.id: ColumnElement[int] = cast(self.rows.c["id"], Integer)

    def text(self, name: str) -> ColumnElement[str | None]:
        """The value as text, exactly as it is."""
        if name not in self._types:
            return cast(null(), Text)
        return cast(self.rows.c[name], Text)

    def filled(self, name: str) -> ColumnElement[str | None]:
        """The value as text; NULL where it is blank."""
        value = self.text(name)
        return case((func.btrim(value) != "", value))

    def unique(self, name: str) -> ColumnElement[str | None]:
        """Like `filled`, but a value that an older row has too gets the row's id at its end."""
        value = self.filled(name)
        return case((self.is_repeated(name), value + "-" + cast(self.id, Text)), else_=value)

    def is_repeated(self, name: str) -> ColumnElement[bool]:
        """True if an older row has the same value, which is not blank."""
        value = self.filled(name)
        rank = func.row_number().over(partition_by=value, order_by=self.id)
        return value.is_not(None) & (rank > 1)

    def display_id(self, name: str, letter: str) -> ColumnElement[str]:
        """An id for people, unique; made like ours where there is none."""
        return func.coalesce(self.unique(name), made_display_id(letter))

    def whole(self, name: str) -> ColumnElement[int | None]:
        """A whole number; NULL where the value is none."""
        value = self.text(name)
        return case((value.regexp_match(_WHOLE), cast(value, Integer)))

    def share(self, name: str) -> ColumnElement[Any]:
        """A number in 0..1; one above 1 was a percentage. NULL where the value is no number."""
        value = func.lower(self.text(name))
        number = case((value.regexp_match(_NUMBER), cast(func.rtrim(value, "% "), Numeric)))
        return case((number > 1, number / 100), else_=number)

    def moment(self, name: str) -> ColumnElement[datetime | None]:
        """A time; one without a time zone was in UTC."""
        kind = self._types.get(name)
        if kind is None:
            return cast(null(), DateTime(timezone=True))
        value = self.rows.c[name]
        if isinstance(kind, DateTime) and kind.timezone:
            return value
        if isinstance(kind, DateTime | Date):
            return func.timezone("UTC", cast(value, DateTime))
        raise ConflictError(f"The column {name} of the replaced system holds no times.")

    def created_at(self) -> ColumnElement[datetime]:
        return func.coalesce(self.moment("created_at"), func.now())


def made_display_id(letter: str) -> ColumnElement[str]:
    """A random id like those of `shared.ids`."""
    digits = func.replace(cast(func.gen_random_uuid(), Text), "-", "")
    return letter + func.upper(func.substr(digits, 1, 20))


def copy(
    connection: Connection, target: TableClause, source: OldTable, values: dict[str, ColumnElement[Any]]
) -> None:
    """Insert a row of `target` for each old row, oldest first."""
    rows = select(*values.values()).select_from(source.rows).order_by(source.id)
    connection.execute(insert(target).from_select(list(values), rows))
