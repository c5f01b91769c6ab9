"""Machines, as far as a network can tell: each is a network namespace with an address and a name."""

import os
import secrets
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.integration.worker_run import POOL, ROOT, SCAN_QUEUES, RunningWorker


def why_not() -> str | None:
    """Why there can be none here, or None if there can."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return "network namespaces need root, ip and unshare"
    name = f"try-{uuid.uuid4().hex[:6]}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode == 0:
        _ip("netns", "del", name)
    return None if made.returncode == 0 else "this system refuses network namespaces"


class Machine:
    """A machine that reaches this one at `here`. `with` makes it and takes it away with all its processes."""

    def __init__(self, number: int) -> None:
        self.host = f"machine-{number}"
        network = f"10.{128 + secrets.randbelow(127)}.{secrets.randbelow(255)}"  # another run may be on
        self.here = f"{network}.1"
        self._address = f"{network}.2"
        self._space = f"scans-{uuid.uuid4().hex[:6]}"  # a link's name has at most 15 characters
        self._workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        _ip("netns", "add", self._space)
        _ip("link", "add", self._space, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        _ip("addr", "add", f"{self.here}/24", "dev", self._space)
        _ip("link", "set", self._space, "up")
        _ip("-n", self._space, "addr", "add", f"{self._address}/24", "dev", "eth0")
        _ip("-n", self._space, "link", "set", "lo", "up")
        self.heal()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            subprocess.run(["pkill", "-KILL", "-s", str(worker.pid)], check=False)
            worker.wait()
        _ip("netns", "del", self._space)

    def cut_off(self) -> None:
        """Nothing passes any more, and nobody is told."""
        _ip("-n", self._space, "link", "set", "eth0", "down")

    def heal(self) -> None:
        _ip("-n", self._space, "link", "set", "eth0", "up")

    def start_worker(self, environment: Mapping[str, str], folder: Path) -> RunningWorker:
        """A scan worker with this machine's name and network, and its own empty folder."""
        own = folder / self.host
        own.mkdir()
        named = 'hostname "$0" && exec "$@"'
        machine = ["ip", "netns", "exec", self._space, "unshare", "--uts", "sh", "-c", named, self.host]
        celery = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-n", "scan@%h"]
        log_file = own / "worker.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [*machine, *celery, "-Q", SCAN_QUEUES, *POOL],
                cwd=ROOT,
                env={**os.environ, **environment, "IMAGE_FOLDER": str(own / "images"), "TMPDIR": str(own)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._workers.append(process)
        return RunningWorker(process, log_file)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)
