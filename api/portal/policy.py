"""What a page may load: its own files, and the pictures that it shows, from wherever their store is."""

from urllib.parse import urlsplit

from flask import g

_RULES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; img-src 'self'"
)


def picture(link: str | None) -> str | None:
    """The link, for an `<img>` of this page: the page's policy then lets its host in. Nothing else does.

    By link and not by setting: rows taken over from the replaced system lead to hosts of that time.
    """
    if link is not None:
        address = urlsplit(link)
        if address.scheme in ("http", "https") and address.netloc:
            g.setdefault("picture_origins", set()).add(f"{address.scheme}://{address.netloc}")
    return link


def of_this_page() -> str:
    """The Content-Security-Policy header."""
    return " ".join((_RULES, *sorted(g.get("picture_origins", ()))))
