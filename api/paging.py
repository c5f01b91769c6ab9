"""Pages of lists: `?limit=&cursor=`, and the next page in a `Link` header."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Response, jsonify, request

Row = TypeVar("Row")


def answer_list(
    rows: Sequence[Row], limit: int | None, cursor_of: Callable[[Row], object], show: Callable[[Row], Any]
) -> Response:
    """The list as JSON. A page that is full may have another after it."""
    response = jsonify(success=True, data=[show(row) for row in rows])
    if limit is not None and len(rows) == limit:
        query = request.args.to_dict() | {"limit": str(limit), "cursor": str(cursor_of(rows[-1]))}
        response.headers["Link"] = f'<{request.path}?{urlencode(query)}>; rel="next"'
    return response
