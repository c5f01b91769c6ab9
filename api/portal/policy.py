"""What a page may load: its own files, and the pictures that it shows, from wherever their store is."""

from urllib.parse import urlsplit

from flask import Response, g

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


def own_frame() -> None:
    """Let this page hold a document of ours in a frame."""
    g.has_frame = True


def let_us_frame(response: Response) -> None:
    """Let pages of ours hold this document in a frame.

    Nothing else is forbidden to it: browsers show a PDF by pages of their own, which a policy would break.
    """
    response.headers["Content-Security-Policy"] = "frame-ancestors 'self'"
    response.headers["X-Frame-Options"] = "SAMEORIGIN"


def of_this_page() -> str:
    """The Content-Security-Policy header."""
    pictures = " ".join((_RULES, *sorted(g.get("picture_origins", ()))))
    return f"{pictures}; frame-src 'self'" if g.get("has_frame") else pictures
