"""Requests to the server: the login goes to it alone, and what can be tried again is tried again."""

import ipaddress
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

from brain_scans import __version__
from brain_scans.errors import ApiError, NotSignedInError, StoppedError, UnreachableError, WrongUseError
from brain_scans.retries import Patience, Retries

Json = dict[str, Any]

TIMEOUT = httpx.Timeout(120, connect=10)
REPEATABLE = ("GET", "DELETE")
MOST_REDIRECTS = 5
_NEXT = re.compile(r"<([^>]+)>\s*;\s*rel=\"?next\"?")


class Api:
    """One server, and who asks. Threads may share it; a set `stop` ends every pause with `StoppedError`."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        username: str = "",
        patience: Patience | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.url = checked_url(url)
        self.username = username
        self._patience = patience or Patience()
        self._stop = stop or threading.Event()
        agent = {"User-Agent": f"brain-scans/{__version__}"}
        login = {"Authorization": f"Bearer {token}"} if token else {}
        direct = is_loopback(self.url)  # a proxy cannot reach this machine's own addresses
        authorities = httpx.create_ssl_context()  # SSL_CERT_FILE counts for this machine, too
        self._http = httpx.Client(
            timeout=TIMEOUT, headers=agent | login, verify=authorities, trust_env=not direct
        )
        self._others = httpx.Client(timeout=TIMEOUT, headers=agent)  # without the login, for other hosts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._others.close()

    def request(
        self, method: str, path: str, *, key: str | None = None, headers: Json | None = None, **content: Any
    ) -> httpx.Response:
        """The server's final answer, whatever its status.

        429 and 503 are waited out. Broken connections and 5xx are tried again only where a repeat does no
        harm: GET, DELETE, and requests with an idempotency `key`. Raises `UnreachableError`, `StoppedError`.
        """
        url, sent = self.url + path, dict(headers or {})
        if key is not None:
            sent["Idempotency-Key"] = key
        retries = Retries(self._patience, key is not None or method in REPEATABLE)
        while True:
            try:
                response = self._http.request(method, url, headers=sent, **content)
            except httpx.TransportError as error:
                pause: float | None = retries.after_silence(error)
            else:
                pause = retries.after(response)
                if pause is None:
                    return response
            self.wait(pause or 0.0)

    def json(self, method: str, path: str, *, key: str | None = None, **content: Any) -> Json:
        """The body of a successful answer. Raises `ApiError` or `NotSignedInError` in the server's words."""
        response = self.request(method, path, key=key, **content)
        if not response.is_success:
            raise refusal(response)
        return body_of(response)

    def pages(self, path: str) -> Iterator[Json]:
        """The objects of a list, page by page."""
        wanted: str | None = path
        while wanted is not None:
            response = self.request("GET", wanted)
            if not response.is_success:
                raise refusal(response)
            yield from body_of(response).get("data") or []
            found = _NEXT.search(response.headers.get("Link", ""))
            wanted = self._path_of(found.group(1), wanted) if found else None

    @contextmanager
    def download(self, link: str) -> Iterator[httpx.Response]:
        """A file behind a link of the server, as a stream; redirects are followed, the login is not sent on.

        Raises `ApiError` if it is not there, `UnreachableError` if nobody answers or the stream breaks.
        """
        address = urljoin(f"{self.url}/", link)
        retries = Retries(self._patience, repeatable=True)
        for _ in range(MOST_REDIRECTS):
            with closing(self._open(address, retries)) as response:
                if response.is_redirect:
                    address = urljoin(address, response.headers["Location"])
                    continue
                try:
                    if not response.is_success:
                        response.read()
                        raise refusal(response)
                    yield response
                except httpx.TransportError as error:
                    raise UnreachableError(f"The download broke off ({type(error).__name__}).") from error
                return
        raise ApiError("The link to the file leads in circles.", 0)

    def _open(self, address: str, retries: Retries) -> httpx.Response:
        """The head of an answer, its body still to be read."""
        if urlsplit(address).scheme not in ("http", "https"):
            raise ApiError("The link to the file is of no known kind.", 0)
        http = self._http if origin(address) == origin(self.url) else self._others
        while True:
            try:
                response = http.send(http.build_request("GET", address), stream=True)
            except httpx.TransportError as error:
                pause: float | None = retries.after_silence(error)
            else:
                pause = retries.after(response)
                if pause is None:
                    return response
                response.close()
            self.wait(pause or 0.0)

    def _path_of(self, link: str, seen_from: str) -> str:
        """The path of a link on this server, whatever name a proxy gave the server in it."""
        parts = urlsplit(urljoin(self.url + seen_from, link))
        path = parts.path.removeprefix(urlsplit(self.url).path)
        return f"{path}?{parts.query}" if parts.query else path

    def wait(self, seconds: float) -> None:
        """Pause. Raises `StoppedError` as soon as somebody asks to stop."""
        if self._stop.wait(seconds):
            raise StoppedError("Stopped.")


def refusal(response: httpx.Response) -> ApiError | NotSignedInError:
    """The error that an unsuccessful answer stands for."""
    body = body_of(response)
    message = str(body.get("error") or f"The server answered with HTTP {response.status_code}.")
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return NotSignedInError(message)
    return ApiError(message, response.status_code, str(body.get("code") or ""))


def body_of(response: httpx.Response) -> Json:
    """The JSON object of an answer; empty if there is none."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def checked_url(url: str) -> str:
    """The address without a trailing slash. Raises `WrongUseError` if it is none of a server."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongUseError(f"{url!r} is no address of a server: https://host or http://localhost:5000.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise WrongUseError("Give the server's address only: no password, no ? and no #.")
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: the login is for one of these only."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
