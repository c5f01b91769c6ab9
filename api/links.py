"""Links to stored pictures that work on any page, for a limited time."""

import re

from flask import Flask, request

from api.wiring import services
from shared import originals
from shared.errors import ValidationError
from shared.models import Scan
from shared.originals import ADDRESSES

THUMBNAIL_SIDE = 256  # px
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_KEY = re.compile(r"(original|heatmap|overlay)/[A-Za-z0-9-]+\.(png|jpg)")


def refuse_nameless_hosts(app: Flask) -> None:
    """Answer 400 to requests whose Host header is none: links could lead nowhere, or anywhere."""

    @app.before_request
    def check_host() -> None:
        if not is_host(request.host):
            raise ValidationError("The Host header is not the name of a host.", "Host")


def is_host(text: str) -> bool:
    """True if this could be the name of one, perhaps with a port."""
    return _HOST.fullmatch(text) is not None


def absolute(link: str | None) -> str | None:
    """A link that works from pages of another origin."""
    if link is None or not link.startswith("/"):
        return link
    return (services().settings.public_url or request.host_url).rstrip("/") + link


def is_key(path: str) -> bool:
    """True if this product made it, so that its image store may have it."""
    return _KEY.fullmatch(path) is not None


def image_link(key: str | None) -> str | None:
    """A signed URL of a stored image that an `<img>` on any page can show, until it expires.

    Rows taken over from the replaced system hold whole addresses, which stay as they are, or paths on its
    disk, which lead nowhere.
    """
    if key is None or key.startswith(ADDRESSES):
        return key
    return absolute(services().images.link(key)) if is_key(key) else None


def original_link(scan: Scan, side: int | None = None) -> str | None:
    """The same for the original, wherever it is now; with `side` for a small version of it."""
    key = scan.original_path
    if not (key.startswith(ADDRESSES) or is_key(key)):
        return None
    return absolute(originals.original_link(services(), scan, side))


def thumbnail_link(scan: Scan) -> str | None:
    """The same for a small overlay, or a small original where there is none."""
    key = scan.overlay_path
    if key is None:
        return original_link(scan, THUMBNAIL_SIDE)
    return absolute(services().images.thumbnail(key, THUMBNAIL_SIDE)) if is_key(key) else image_link(key)
