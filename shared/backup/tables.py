"""Rows out of the database and into it, table by table, with Postgres' `COPY`."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg2 import sql
from sqlalchemy import Connection, inspect, text

from shared.backup.manifest import TablePart
from shared.backup.parts import writing
from shared.errors import BackupError

VERSIONS = "alembic_version"  # the manifest's revision stands for it


def table_names(connection: Connection) -> list[str]:
    """Our tables, each after those that it refers to."""
    ordered = inspect(connection).get_sorted_table_and_fkc_names()
    return [name for name, _ in ordered if name is not None and name != VERSIONS]


def dump_tables(connection: Connection, folder: Path) -> list[TablePart]:
    """Write every table's rows as the transaction sees them."""
    return [_dump(connection, folder, name) for name in table_names(connection)]


def dump_sequences(connection: Connection) -> dict[str, tuple[int, bool]]:
    """Where the sequences stand now: read after the rows, they are never behind them."""
    names = inspect(connection).get_sequence_names()
    found = {}
    for name in sorted(names):
        query = f'SELECT last_value, is_called FROM "{name}"'  # noqa: S608 - a name from Postgres' own catalogue
        value, is_called = connection.execute(text(query)).one()
        found[name] = (int(value), bool(is_called))
    return found


def load_tables(connection: Connection, folder: Path, tables: Sequence[TablePart]) -> None:
    """Fill empty tables. Their triggers sleep meanwhile: the audit trail comes in as it was written.

    Raises `BackupError` if a table takes another number of rows than the manifest says.
    """
    for table in tables:
        name = sql.Identifier(table.table)
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        cursor = _cursor(connection)
        cursor.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(name))
        with gzip.open(folder / table.file, "rb") as file:
            cursor.copy_expert(sql.SQL("COPY {} ({}) FROM STDIN").format(name, columns), file)
        if cursor.rowcount != table.rows:
            raise BackupError(f"The backup is not whole: {table.table} has {cursor.rowcount} rows.")
        cursor.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(name))


def load_sequences(connection: Connection, sequences: dict[str, tuple[int, bool]]) -> None:
    for name, (value, is_called) in sequences.items():
        connection.execute(
            text("SELECT setval(CAST(:name AS regclass), :value, :called)"),
            {"name": f'"{name}"', "value": value, "called": is_called},
        )


def _dump(connection: Connection, folder: Path, name: str) -> TablePart:
    columns = [
        column["name"] for column in inspect(connection).get_columns(name) if not column.get("computed")
    ]
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    cursor = _cursor(connection)
    with writing(folder, f"tables/{name}.copy.gz") as writer:
        cursor.copy_expert(
            sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(name), listed), writer.gzip
        )
    return TablePart(**writer.part.model_dump(), table=name, columns=tuple(columns), rows=cursor.rowcount)


def _cursor(connection: Connection) -> Any:
    """Of the driver, which alone speaks `COPY`; in the connection's transaction."""
    return connection.connection.cursor()
