"""A hidden field that makes a form's work happen once, however often a reload or a second click sends it.

`shared.idempotency` keeps the key with the work, as it does for the header of the JSON routes.
"""

import secrets
from collections.abc import Iterable
from typing import Any

from flask import request
from werkzeug.datastructures import FileStorage

from api.repeats import RepeatableRequest

FIELD = "once"
RANDOM_BYTES = 16


def new() -> str:
    """For a form that is shown: `<input type="hidden" name="once" value="…">`."""
    return secrets.token_urlsafe(RANDOM_BYTES)


def sent(asked: Any, files: Iterable[FileStorage] = ()) -> RepeatableRequest:
    """The form that was sent, and what it asks for."""
    return RepeatableRequest.current(asked, files, request.form.get(FIELD) or None)
