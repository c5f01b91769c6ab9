"""Styles, scripts and icons of the pages, under addresses that change with their content."""

import hashlib
from functools import cache
from pathlib import Path

from flask import url_for

FOLDER = Path(__file__).with_name("static")
FOREVER_S = 365 * 24 * 3600
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def asset(name: str) -> str:
    """The address of a file in `static`."""
    return url_for("start.static_file", name=name, v=version(name))


@cache
def version(name: str) -> str:
    """Short, and another one for another content."""
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
