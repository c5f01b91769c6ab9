"""Requests to a store over HTTP: one try each, always with a time-out, connections kept."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from shared.storage.retries import TryLaterError, read_whole

CONNECT_SECONDS = 5.0
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whatever its status, read whole."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class HttpPool:
    """Kept connections to one vendor; safe to use from many threads."""

    def __init__(self, vendor: str, connections: int, **tls: Any) -> None:
        self._vendor = vendor
        self._pool = urllib3.PoolManager(maxsize=connections, **tls)

    def request(self, method: str, url: str, timeout_s: float, **content: Any) -> Reply:
        """One request; follows no redirect. The whole answer must be there within twice the time-out.

        Raises `TryLaterError`, without the address: it may carry a signature.
        """
        deadline = time.monotonic() + 2 * timeout_s
        timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, timeout_s), read=timeout_s)
        try:
            response = self._pool.request(
                method, url, timeout=timeout, retries=False, preload_content=False, **content
            )
            try:
                # What has come so far: a plain read waits for a whole chunk, however slowly it comes.
                data = read_whole(iter(partial(response.read1, _CHUNK), b""), deadline)
            finally:
                response.close()
        except (HTTPError, OSError) as error:
            raise TryLaterError(f"{self._vendor} does not answer ({type(error).__name__}).") from None
        return Reply(response.status, response.headers, data)


def basic_auth(user: str, password: str) -> dict[str, str]:
    """The header of HTTP basic authentication."""
    return dict(urllib3.make_headers(basic_auth=f"{user}:{password}"))
