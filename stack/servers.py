"""What the embedded Postgres and Redis have in common: prepare, run in the foreground, start and stop."""

import secrets
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from stack.ports import LOOPBACK


class ServerError(Exception):
    """An embedded server cannot be prepared or does not start; the message says what to do."""


@dataclass
class EmbeddedServer(ABC):
    """A server whose data lies in `folder` and that listens on `port` of the loopback address only.

    A supervisor runs `command()` as `system_user` in `working_directory`; tests use `start()` and `stop()`.
    """

    folder: Path
    port: int
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    durable: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    host = LOOPBACK
    stop_signal = signal.SIGTERM

    @abstractmethod
    def prepare(self) -> None:
        """Create or complete what the server needs before it can run. Safe to repeat."""

    @abstractmethod
    def command(self) -> list[str]:
        """The argument vector that runs the server in the foreground. Holds no secret."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect. Holds the password."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server accepts a login and a command now."""

    @property
    def system_user(self) -> str | None:
        """The user that must run the server; None: the caller."""
        return None

    @property
    def working_directory(self) -> Path:
        return self.folder

    @property
    def log_file(self) -> Path:
        """Where `start()` writes the server's output."""
        return self.folder / "server.log"

    def start(self, timeout: float = 30) -> Self:
        """Run the server until `stop()` and return when it answers. Needs `prepare()` first."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.working_directory,
                user=self.system_user,
                group=self.system_user,
                extra_groups=[] if self.system_user else None,
                start_new_session=True,
            )
        try:
            self.wait_until_ready(timeout)
        except BaseException:
            self.stop()
            raise
        return self

    def wait_until_ready(self, timeout: float = 30) -> None:
        """Return when the server answers. Raises `ServerError` after `timeout` seconds or when it ended."""
        deadline = time.monotonic() + timeout
        while not self.answers():
            if self.process is not None and self.process.poll() is not None:
                raise ServerError(f"the server ended with {self.process.returncode}: {self._log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"no answer on port {self.port} after {timeout:.0f} s: {self._log_tail()}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals | None = None, timeout: float = 30) -> None:
        """Stop what `start()` started, by `how` (None: the server's clean way), and wait for its end."""
        if self.process is None:
            return
        self.process.send_signal(how or self.stop_signal)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _log_tail(self) -> str:
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else "no log"
        return "\n".join(text.splitlines()[-10:])
