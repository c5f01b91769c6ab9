"""Which texts are addresses that the libraries take.

They would raise in the middle of work, or far from the variable, and repeat the value in what they say.
"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from redis import Redis
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

_SPACE = re.compile(r"\s")
_HOST = re.compile(r"[A-Za-z0-9_.-]+")
_REDIS = re.compile(r"rediss?://[^/\s]+(/[0-9]*)?(\?\S*)?")


def is_web_address(text: str) -> bool:
    """True for http:// or https://, a host, perhaps a port, and anything behind."""
    try:
        parts = urlsplit(text)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        return False
    return parts.scheme in ("http", "https") and has_place and not _SPACE.search(text)


def is_base_address(text: str) -> bool:
    """True for a web address to which paths can be added."""
    return is_web_address(text) and not any(character in text for character in "?#@")


def is_host(text: str) -> bool:
    """True for a host name or an IP address, without a port."""
    try:
        ip_address(text)
    except ValueError:
        pass
    else:
        return True
    try:
        return _HOST.fullmatch(text.encode("idna").decode()) is not None
    except UnicodeError:
        return False


def is_postgres_address(text: str) -> bool:
    """True for what SQLAlchemy takes for an address of Postgres."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        return False
    is_port = url.port is None or 0 < url.port < 65_536
    return url.get_backend_name() in ("postgres", "postgresql") and is_port


def is_redis_address(text: str) -> bool:
    """True for what both Celery and redis-py take for an address of Redis."""
    if not _REDIS.fullmatch(text):
        return False
    try:
        Redis.from_url(text).close()  # nothing was opened
        return urlsplit(text).port != 0
    except ValueError:
        return False
