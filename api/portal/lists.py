"""Pages of lists: newest first, `?before=` the last row's number leads to older ones."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from flask import request

from shared.errors import NotFoundError

Row = TypeVar("Row")
MOST_DIGITS = 18  # Postgres takes these


def position(name: str = "before") -> int | None:
    """From before which number this page of a list shows; None: from the newest. Raises `NotFoundError`.

    Lists that begin with the oldest say it in `?after=`.
    """
    text = request.args.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS and int(text) > 0):
        raise NotFoundError("There is no such page.")
    return int(text)


def split(
    rows: Sequence[Row], most: int, number_of: Callable[[Row], int]
) -> tuple[Sequence[Row], int | None]:
    """The rows to show, and where the next page begins. Ask for one row more than is shown."""
    shown = rows[:most]
    return shown, number_of(shown[-1]) if len(rows) > most else None
