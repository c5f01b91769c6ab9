"""What the browser tests run against, and where their pictures are kept."""

import os
import signal
from dataclasses import dataclass

from stack.access import Access
from stack.lifecycle import Stack
from stack.settings import CHECKOUT

ARTIFACTS = CHECKOUT / ".artifacts" / "browser"
API_HOST = "localhost"  # the frontend's host: its pages and the API are one site, so the Lax cookie is sent


@dataclass(frozen=True)
class Running:
    """The whole stack and the frontend beside it, as origins."""

    api: str
    frontend: str
    access: Access
    stack: Stack

    def signal_scan_worker(self, number: signal.Signals) -> None:
        """To the whole family."""
        (worker,) = [one for one in self.stack.status()["processes"] if one["role"] == "scan-worker"]
        for pid in (worker["pid"], *worker["children"]):
            os.kill(pid, number)
