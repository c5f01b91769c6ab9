"""Static pages on an origin of their own, as the existing frontend is served beside the API."""

import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from stack.ports import LOOPBACK

PAGES = Path(__file__).parent / "frontend"


class Site:
    """The frontend's pages on http://localhost:<port>. Use as a context manager.

    `api_url` is what the pages take for the API's address; it may be set once the API runs.
    """

    def __init__(self, port: int = 0) -> None:
        self.api_url = ""
        site = self

        class Pages(SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(PAGES))  # type: ignore[arg-type]

            def do_GET(self) -> None:
                if self.path != "/config.js":
                    super().do_GET()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/javascript")
                self.end_headers()
                self.wfile.write(f"window.API_BASE_URL = {json.dumps(site.api_url)};".encode())

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, port), Pages)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def origin(self) -> str:
        return f"http://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
