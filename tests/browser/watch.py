"""What a browser asks for and complains about while pages run in it."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError

# Of the page itself, and of the browser: its PDF viewer is a page of its own.
NO_HOST = ("data", "blob", "about", "chrome", "chrome-extension")
POLICY_REPORTER = """
addEventListener('securitypolicyviolation', (event) =>
  console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`));
"""


class Watch:
    """Follows every page of a context from now on."""

    def __init__(self, context: "BrowserContext") -> None:
        self.complaints: list[str] = []
        self.origins: set[str] = set()
        self._provoked: set[tuple[int, str]] = set()
        context.add_init_script(POLICY_REPORTER)
        context.on("request", self._asked)
        context.on("response", self._answered)
        context.on("requestfailed", self._failed)
        context.on("console", self._written)
        context.on("weberror", self._thrown)

    def provoke(self, status: int, path: str) -> None:
        """Take this answer of this path for what the test wants."""
        self._provoked.add((status, path))

    def _asked(self, request: "Request") -> None:
        address = urlsplit(request.url)
        if address.scheme not in NO_HOST:
            self.origins.add(f"{address.scheme}://{address.netloc}")

    def _answered(self, response: "Response") -> None:
        if response.status >= 400 and not self._is_provoked(response.status, response.url):
            self.complaints.append(f"{response.status} {response.url}")

    def _failed(self, request: "Request") -> None:
        # The browser itself ends so what a page that is left still asks for, and the way to a download.
        if not (request.method == "GET" and request.failure == "net::ERR_ABORTED"):
            self.complaints.append(f"{request.failure} {request.method} {request.url}")

    def _written(self, message: "ConsoleMessage") -> None:
        if message.type not in ("error", "warning"):
            return
        address = message.location["url"]
        is_refusal = message.text.startswith("Failed to load resource")
        if not (is_refusal and urlsplit(address).path in {path for _, path in self._provoked}):
            self.complaints.append(f"console: {message.text} ({address})")

    def _thrown(self, error: "WebError") -> None:
        self.complaints.append(f"uncaught: {error.error}")

    def _is_provoked(self, status: int, address: str) -> bool:
        return (status, urlsplit(address).path) in self._provoked
