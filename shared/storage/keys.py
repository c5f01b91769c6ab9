"""Keys of objects, and the names under which browsers save them."""

import re
import unicodedata
from urllib.parse import quote

from shared.errors import ObjectNotFoundError

MAX_FILENAME = 150
MAX_KEY_BYTES = 900  # S3 takes 1024, a prefix included
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*\.[a-z]{2,4}")
_OLD_PART = r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*"
_READABLE = re.compile(rf"{_OLD_PART}(/{_OLD_PART})*")
_UNPLAIN = re.compile(r"[^A-Za-z0-9._-]+")


def is_key(text: str) -> bool:
    """True for keys such as this product makes."""
    return _KEY.fullmatch(text) is not None


def checked_key(key: str) -> str:
    """The key itself. Raises `ObjectNotFoundError` if this product never makes such a key."""
    if not is_key(key):
        raise ObjectNotFoundError("No object can have such a key.")
    return key


def readable_key(key: str) -> str:
    """The key itself, which another program may have made: blanks, accents and dots are fine.

    For stores whose keys are no paths of a file system. Raises `ObjectNotFoundError` for what is no key.
    """
    if not _READABLE.fullmatch(key) or len(key.encode()) > MAX_KEY_BYTES:
        raise ObjectNotFoundError("No object can have such a key.")
    return key


def content_disposition(kind: str, filename: str) -> str:
    """A Content-Disposition header (RFC 6266) of an "inline" or "attachment" answer.

    The plain name is for old clients. No name can end the header or start another one.
    """
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    visible = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip()[-MAX_FILENAME:]
    name = visible or "file"
    plain = _UNPLAIN.sub("_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
