"""Processes of the product: started, watched, hit with signals, ended with all their children."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CELERY = (sys.executable, "-m", "celery", "-A", "worker.app")


@dataclass
class Program:
    """One supervised process and all that it ever was."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    is_wanted: bool = True  # False: it stays away when it has ended
    code: Path = ROOT  # the checkout that it runs, when it is next started
    process: subprocess.Popen[bytes] | None = None
    groups: set[int] = field(default_factory=set)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, folder: Path, environment: Mapping[str, str]) -> None:
        with (folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                cwd=self.code,
                env={**environment, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.groups.add(self.process.pid)

    def kill(self) -> None:
        """SIGKILL it and every child that outlived a parent."""
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def end(self) -> None:
        """Kill all of it, and forget it."""
        self.kill()
        self.groups.clear()
        if self.process is not None:
            self.process.wait()
            self.process = None


def api(name: str, url: str) -> Program:
    """The API as it runs in earnest, with two processes."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--no-control-socket"]
    size = ["--workers", "2", "--threads", "8", "--bind", url.removeprefix("http://")]
    return Program(name, [*gunicorn, *size, "api.wsgi:app"], {})


def worker(name: str, queues: str, role: str) -> Program:
    """A Celery worker with one child."""
    pool = ["-P", "prefork", "-c", "1", "--pool-start-method", "spawn"]
    argv = [*CELERY, "worker", "-n", f"{name}@%h", "-Q", queues, *pool]
    return Program(name, argv, {"WORKER_ROLE": role})


def beat(name: str, folder: Path) -> Program:
    """Celery's clock, with a schedule file of its own."""
    return Program(name, [*CELERY, "beat", "--schedule", str(folder / name), "--pidfile", ""], {})


def working_children(parent: int) -> list[int]:
    """Children of a process, oldest first, without the trackers that Python starts beside a pool."""
    try:
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        return [pid for pid in map(int, text.split()) if "_tracker import" not in _command(pid)]
    except OSError:
        return []


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signal a process; one that died by itself meanwhile is what this was to bring about."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Meanwhile this process stands still."""
    send_signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        send_signal(pid, signal.SIGCONT)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
