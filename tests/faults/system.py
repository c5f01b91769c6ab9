"""The whole product as processes, in front of servers that may be broken; what dies is started again."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from tests.faults.outside import Outside
from tests.faults.programs import Program, api, beat, send_signal, worker, working_children
from tests.faults.proxy import FaultProxy

API, SCAN, SCAN_2, REPORT, BEAT = "api", "scan-1", "scan-2", "report", "beat"
SCAN_QUEUES, OTHER_QUEUES = "scans.interactive,scans.bulk", "reports,mail,system"
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


class System:
    """Postgres, Redis, API, two scan workers, a report worker and beat. `places.running_system` makes one."""

    def __init__(self, folder: Path, outside: Outside | None = None) -> None:
        self.folder = folder
        self.outside = outside
        self.postgres = Cluster(folder / "postgres", free_port())  # durable: crashes must lose nothing
        self.redis = RedisServer(folder / "redis", free_port())
        self.postgres_proxy = FaultProxy(self.postgres.port)
        self.redis_proxy = FaultProxy(self.redis.port)
        self.url = f"http://{LOOPBACK}:{free_port()}"
        self._services_outside = outside.environment() if outside else {}
        stores: dict[str, Any] = {name.lower(): value for name, value in self._services_outside.items()}
        self.settings = Settings(
            _env_file=None,
            database_url=SecretStr(self.postgres.url),
            redis_url=SecretStr(self.redis.url),
            secret_key=SecretStr("a secret key that only the tests use"),
            image_folder=folder / "images",
            report_folder=folder / "reports",
            **stores,
        )
        # Without a pool: whoever holds the ledger must not stumble over what the faults do to connections.
        self._engine = create_engine(self.settings.sqlalchemy_url, poolclass=NullPool)
        self.services: Services = replace(
            build_services(self.settings), sessions=sessionmaker(self._engine, expire_on_commit=False)
        )
        programs = [
            api(API, self.url),
            worker(SCAN, SCAN_QUEUES, "scan"),
            worker(SCAN_2, SCAN_QUEUES, "scan"),
            worker(REPORT, OTHER_QUEUES, "report"),
            beat(BEAT, folder),
        ]
        self.programs = {program.name: program for program in programs}
        self._extra: dict[str, str] = {}
        self._lock = threading.Lock()  # held while programs are started or ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Everything at work; what was started ends with the block, whatever happens in it."""
        with ExitStack() as ends:
            ends.callback(self.postgres.remove)
            ends.callback(self.postgres.stop)
            ends.callback(self.redis.stop)
            self.redis.prepare()
            self.postgres.prepare()
            self.redis.start()
            self.postgres.start()
            upgrade(self._engine)
            with self.services.sessions.begin() as session:
                accounts.add_admin(session, "admin", None, ADMIN_PASSWORD)
            ends.enter_context(self.postgres_proxy)
            ends.enter_context(self.redis_proxy)
            ends.callback(self._end_programs)
            self.restart({})
            self._thread.start()
            yield

    def _end_programs(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for program in self.programs.values():
            program.end()

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

    @property
    def fail_points_fired(self) -> int:
        """How often a counted fail-point fired since the last restart."""
        return len(list(Path(self._turns).glob("failpoint-*")))

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
            send_signal(self.pid(name), signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """SIGTERM: end after the work in hand."""
        send_signal(self.pid(name), signal.SIGTERM)

    def kill_all(self) -> None:
        """SIGKILL every process of the product at once."""
        for program in self.programs.values():
            program.kill()

    def child(self, name: str) -> int:
        """The process that works: the newest of gunicorn's workers, or the one of the pool."""
        until(lambda: bool(working_children(self.pid(name))), f"{name} has a child")
        return working_children(self.pid(name))[-1]

    def kill_child(self, name: str) -> None:
        send_signal(self.child(name), signal.SIGKILL)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Meanwhile nobody starts this process."""
        program = self.programs[name]
        program.is_wanted = False
        try:
            with self._lock:
                program.end()
            yield
        finally:
            program.is_wanted = True

    @contextmanager
    def with_variables(self, name: str, variables: Mapping[str, str]) -> Iterator[None]:
        """Meanwhile this process lives with these variables; it is started anew before and after."""
        program = self.programs[name]
        before = program.environment
        self._renew(program, {**before, **variables})
        try:
            yield
        finally:
            self._renew(program, before)

    @contextmanager
    def second_beat(self) -> Iterator[None]:
        """Meanwhile two of them send messages."""
        second = beat("beat-2", self.folder)
        with self._lock:
            self.programs[second.name] = second
        try:
            yield
        finally:
            with self._lock:
                self.programs.pop(second.name).end()

    def _is_at_work(self) -> bool:
        if not _answers(self.url):
            return False
        with self.services.sessions() as session:
            known = set(session.scalars(select(Worker.name)))
        pids = {int(name.rsplit(":", 1)[-1]) for name in known}
        return all(pids & set(working_children(self.pid(name))) for name in (SCAN, SCAN_2, REPORT))

    def _renew(self, program: Program, environment: dict[str, str]) -> None:
        with self._lock:
            program.environment = environment
            program.end()

    def _supervise(self) -> None:
        while not self._stop.wait(0.1):
            with self._lock:
                for program in self.programs.values():
                    if program.is_wanted and not program.is_running:
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
            **self._services_outside,
            **self._extra,
        }


def until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Return when the condition holds. Raises `AssertionError` after too long."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/health", trust_env=False, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
