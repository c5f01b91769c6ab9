"""The peer server in processes of its own, and a client that sends it as much at once as the product gets."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.bare import CHECKOUT, PEERS, add_peers
from bench.plan import Plan
from bench.running import FILES_PER_REQUEST, UPLOADERS
from stack.ports import free_port

START_S = 120
# LitServe asks its makers for news unless told not to.
QUIET = {"LITSERVE_DISABLE_VERSION_CHECK": "1", "LIT_DISABLE_VERSION_CHECK": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True, slots=True)
class Peer:
    """It takes a picture per request, so as many requests are under way as pictures are with the product.

    Its processes stand still while others are measured: idle ones take a fifth of a core.
    """

    http: httpx.Client
    group: int  # of processes

    def images_per_second(self, files: Sequence[Path]) -> float:
        """Raises `httpx.HTTPStatusError` for an answer that is no success."""
        os.killpg(self.group, signal.SIGCONT)
        try:
            began = time.perf_counter()
            with ThreadPoolExecutor(FILES_PER_REQUEST * UPLOADERS) as clients:
                list(clients.map(self._ask, files))
            return len(files) / (time.perf_counter() - began)
        finally:
            os.killpg(self.group, signal.SIGSTOP)

    def _ask(self, file: Path) -> None:
        self.http.post("/predict", files={"picture": (file.name, file.read_bytes())}).raise_for_status()


@contextmanager
def running_peer(plan: Plan) -> Iterator[Peer]:
    """Start the server; nothing of it is left after the block. Raises `RuntimeError` if it does not start."""
    add_peers()
    port = free_port()
    plan.logs.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="peer-") as folder,
        (plan.logs / "peer.log").open("wb") as log,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            timeout=START_S,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
        ) as http,
    ):
        process = subprocess.Popen(  # noqa: S603 - our own program and arguments, no shell
            [sys.executable, "-m", "bench.peer_server", str(port), folder],
            cwd=CHECKOUT,
            env={**os.environ, **QUIET, "PYTHONPATH": str(PEERS)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait_until_ready(http, process, plan.logs / "peer.log")
            yield Peer(http, process.pid)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_ready(http: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if http.get("/health").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the peer server did not start: see {log}")
