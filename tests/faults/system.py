"""The whole product as processes, in front of servers that may be broken; what dies is started again."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from pydantic import SecretStr
from sqlalchemy import NullPool, create_engine, select
from sqlalchemy.orm import sessionmaker

from shared import accounts
from shared.migrations import upgrade
from shared.models import Worker
from shared.services import Services, build_services
from shared.settings import Settings
from stack.ports import LOOPBACK, free_port
from stack.postgres import Cluster
from stack.redis_server import RedisServer
from tests.faults.proxy import FaultProxy

ROOT = Path(__file__).resolve().parents[2]
API, SCAN, SCAN_2, REPORT, BEAT = "api", "scan-1", "scan-2", "report", "beat"
ADMIN_PASSWORD = "correct horse battery staple"
PATIENCE_S = 60
SHORT_TIMES = {
    "LEASE_SECONDS": "3",
    "SWEEP_SECONDS": "1",
    "RETRY_SECONDS": "0.5",
    "REQUESTS_PER_MINUTE": "100000",
    "STORE_TIMEOUT_SECONDS": "2",
    "ENGINE": "load-test",
    "FAIL_AT": "pictures-stored:sleep=0.4",  # so that workers are hit at work, though no model runs
}


@dataclass
class Program:
    """One supervised process and all that it ever was."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    groups: set[int] = field(default_factory=set)

    def start(self, folder: Path, environment: Mapping[str, str]) -> None:
        with (folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                cwd=ROOT,
                env={**environment, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.groups.add(self.process.pid)

    def end(self) -> None:
        """Kill it and every child that outlived a parent."""
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.groups.clear()
        if self.process is not None:
            self.process.wait()
            self.process = None


class System:
    """Postgres, Redis, API, two scan workers, a report worker and beat. `running_system` makes one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Cluster(folder / "postgres", free_port())  # durable: crashes must lose nothing
        self.redis = RedisServer(folder / "redis", free_port())
        self.postgres_proxy = FaultProxy(self.postgres.port)
        self.redis_proxy = FaultProxy(self.redis.port)
        self.url = f"http://{LOOPBACK}:{free_port()}"
        self.settings = Settings(
            _env_file=None,
            database_url=SecretStr(self.postgres.url),
            redis_url=SecretStr(self.redis.url),
            secret_key=SecretStr("a secret key that only the tests use"),
            image_folder=folder / "images",
            report_folder=folder / "reports",
        )
        # Without a pool: whoever holds the ledger must not stumble over what the faults do to connections.
        self._engine = create_engine(self.settings.sqlalchemy_url, poolclass=NullPool)
        self.services: Services = replace(
            build_services(self.settings), sessions=sessionmaker(self._engine, expire_on_commit=False)
        )
        self.programs = {program.name: program for program in self._programs()}
        self._extra: dict[str, str] = {}
        self._lock = threading.Lock()  # held while programs are started or ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def start(self) -> None:
        self.redis.prepare()
        self.postgres.prepare()
        self.redis.start()
        self.postgres.start()
        upgrade(self._engine)
        with self.services.sessions.begin() as session:
            accounts.add_admin(session, "admin", None, ADMIN_PASSWORD)
        self.postgres_proxy.__enter__()
        self.redis_proxy.__enter__()
        self.restart({})
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for program in self.programs.values():
            program.end()
        self.postgres_proxy.__exit__()
        self.redis_proxy.__exit__()
        self.redis.stop()
        self.postgres.stop()
        self.postgres.remove()

    def restart(self, extra: Mapping[str, str]) -> None:
        """Start all product processes anew with these variables too; returns when all are at work."""
        with self._lock:
            self._extra = dict(extra)
            self._turns = tempfile.mkdtemp(dir=self.folder, prefix="turns-")  # of fail-points
            for program in self.programs.values():
                program.end()
            for program in self.programs.values():
                program.start(self.folder, self.environment())
        self.wait_until_at_work()

    def wait_until_at_work(self) -> None:
        """Return when the API answers and every worker has a living child."""
        until(self._is_at_work, "all processes are at work")

    def pid(self, name: str) -> int:
        process = self.programs[name].process
        assert process is not None
        return process.pid

    def kill(self, *names: str) -> None:
        """SIGKILL these processes, not their children."""
        for name in names:
            _signal(self.pid(name), signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """SIGTERM: end after the work in hand."""
        _signal(self.pid(name), signal.SIGTERM)

    def kill_all(self) -> None:
        """SIGKILL every process of the product at once."""
        for program in self.programs.values():
            for group in program.groups:
                try:
                    os.killpg(group, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def child(self, name: str) -> int:
        """The process that works: the newest of gunicorn's workers, or the one of the pool."""
        until(lambda: bool(working_children(self.pid(name))), f"{name} has a child")
        return working_children(self.pid(name))[-1]

    def kill_child(self, name: str) -> None:
        _signal(self.child(name), signal.SIGKILL)

    @contextmanager
    def paused(self, *pids: int) -> Iterator[None]:
        """Meanwhile these processes stand still."""
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                _signal(pid, signal.SIGCONT)

    def _is_at_work(self) -> bool:
        if not _answers(self.url):
            return False
        with self.services.sessions() as session:
            known = set(session.scalars(select(Worker.name)))
        pids = {int(name.rsplit(":", 1)[-1]) for name in known}
        return all(pids & set(working_children(self.pid(name))) for name in (SCAN, SCAN_2, REPORT))

    def _supervise(self) -> None:
        while not self._stop.wait(0.1):
            with self._lock:
                for program in self.programs.values():
                    if program.process is None or program.process.poll() is not None:
                        program.start(self.folder, self.environment())

    def environment(self) -> dict[str, str]:
        """The variables of all product processes."""

        def through(url: str, port: int, proxy: FaultProxy) -> str:
            return url.replace(f":{port}/", f":{proxy.port}/")

        return {
            **os.environ,
            **SHORT_TIMES,
            "DATABASE_URL": through(self.postgres.url, self.postgres.port, self.postgres_proxy),
            "REDIS_URL": through(self.redis.url, self.redis.port, self.redis_proxy),
            "SECRET_KEY": self.settings.secret_key.get_secret_value(),
            "IMAGE_FOLDER": str(self.settings.image_folder),
            "REPORT_FOLDER": str(self.settings.report_folder),
            "TMPDIR": self._turns,
            **self._extra,
        }

    def _programs(self) -> list[Program]:
        celery = [sys.executable, "-m", "celery", "-A", "worker.app"]
        pool = ["-P", "prefork", "-c", "1", "--pool-start-method", "spawn"]
        gunicorn = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--no-control-socket"]
        size = ["--workers", "2", "--threads", "8", "--bind", self.url.removeprefix("http://")]
        scans, others = "scans.interactive,scans.bulk", "reports,mail,system"

        def worker(name: str, queues: str, role: str) -> Program:
            argv = [*celery, "worker", "-n", f"{name}@%h", "-Q", queues, *pool]
            return Program(name, argv, {"WORKER_ROLE": role})

        schedule = str(self.folder / "beat")
        return [
            Program(API, [*gunicorn, *size, "api.wsgi:app"], {}),
            worker(SCAN, scans, "scan"),
            worker(SCAN_2, scans, "scan"),
            worker(REPORT, others, "report"),
            Program(BEAT, [*celery, "beat", "--schedule", schedule, "--pidfile", ""], {}),
        ]


@contextmanager
def running_system(folder: Path) -> Iterator[System]:
    """A system at work; nothing of it is left afterwards but its logs."""
    system = System(folder)
    try:
        system.start()
        yield system
    finally:
        system.stop()


def until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Return when the condition holds. Raises `AssertionError` after too long."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def working_children(parent: int) -> list[int]:
    """Children of a process, oldest first, without the trackers that Python starts beside a pool."""
    try:
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        return [pid for pid in map(int, text.split()) if "_tracker import" not in _command(pid)]
    except OSError:
        return []


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # died by itself meanwhile: what this was to bring about


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/health", trust_env=False, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
