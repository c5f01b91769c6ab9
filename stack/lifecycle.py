"""One stack from its state folder: up, down, clean, status."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stack.access import ADMIN, Access
from stack.errors import StackError
from stack.interrupts import undisturbed
from stack.ports import Ports, choose_ports
from stack.postgres import Cluster
from stack.processes import children_of, end_all, processes_of, wait_for_end
from stack.programs import (
    OWNER_VARIABLE,
    STOP_SECONDS,
    WORKER_STOP_SECONDS,
    data_programs,
    product_environment,
    product_programs,
)
from stack.readiness import wait_until_ready
from stack.redis_server import RedisServer
from stack.settings import CHECKOUT, StackSettings
from stack.state import Secrets, StateFolder
from stack.supervisor import Supervisor

ADMIN_EMAIL = "admin@example.org"
STOP_PATIENCE_SECONDS = WORKER_STOP_SECONDS + 2 * STOP_SECONDS


@dataclass(frozen=True, slots=True)
class Stack:
    """The stack whose data, logs and secrets lie in `state`. `say` tells a person what happens."""

    state: StateFolder
    settings: StackSettings
    say: Callable[[str], None]

    def up(self) -> Access:
        """Start what does not run and return when the API says that all is ready.

        Raises `StackError` with the reason and the culprit's log; what this call started is stopped then.
        """
        self.state.create()
        with self.state.locked():
            secrets = self.state.load_secrets()
            supervisor = self._supervisor(secrets)
            if supervisor.pid() is not None:
                access = Access.of(self._running_ports(), secrets)
                self._say_if_elsewhere()
                supervisor.start_group("product")
                wait_until_ready(access.url, supervisor)
                return access
            try:
                return self._start(supervisor, secrets)
            except BaseException:
                self._stop(supervisor)
                raise

    def down(self) -> None:
        """Stop every process of this stack. Raises `StackError` if one is left."""
        if self.state.root.exists():
            with self.state.locked():
                self._stop(self._supervisor(self.state.load_secrets()))

    def clean(self) -> None:
        """`down`, then remove all that the stack wrote."""
        self.down()
        if not self.state.root.exists():
            return
        self._cluster().remove()
        if self.state.supervisor_socket.parent != self.state.root:
            shutil.rmtree(self.state.supervisor_socket.parent, ignore_errors=True)
        shutil.rmtree(self.state.root)

    def status(self) -> dict[str, Any]:
        """Each process with role, pid, state and the ids of its children, for a program."""
        if not self.state.root.exists():
            return {"running": False, "url": None, "processes": []}
        secrets = self.state.load_secrets()
        processes = [
            {
                "role": process.role,
                "pid": process.pid or None,
                "state": process.state,
                "children": children_of(process.pid) if process.pid else [],
            }
            for process in self._supervisor(secrets).processes()
        ]
        url = Access.of(self._running_ports(), secrets).url if processes else None
        return {"running": bool(processes), "url": url, "processes": processes}

    def environment(self) -> dict[str, str]:
        """With these variables a command works on this stack's data. Raises `StackError` if it is down."""
        if not self.state.root.exists() or self._supervisor(self.state.load_secrets()).pid() is None:
            raise StackError("the stack does not run: start it with `make up`")
        environment = self._environment(self._running_ports(), self.state.load_secrets())
        del environment[OWNER_VARIABLE]  # it is the caller's process, not the stack's
        return environment

    def _environment(self, ports: Ports, secrets: Secrets) -> dict[str, str]:
        postgres = self._cluster(ports.postgres, secrets.postgres_password)
        redis = RedisServer(self.state.root / "redis", ports.redis, secrets.redis_password)
        return product_environment(self.settings.environment, self.state, secrets, postgres, redis)

    def _start(self, supervisor: Supervisor, secrets: Secrets) -> Access:
        if processes_of(self.state.root, self._cluster().home):
            self.say("Stopping what an earlier run left behind …")
            self._stop(supervisor)
        ports = choose_ports(self.settings.port, self.settings.flower_port, self.state.load_ports(), self.say)
        self.state.save_ports(ports)
        postgres = self._cluster(ports.postgres, secrets.postgres_password)
        redis = RedisServer(self.state.root / "redis", ports.redis, secrets.redis_password)
        environment = self._environment(ports, secrets)

        self.say("Starting Postgres and Redis …")
        for server in (postgres, redis):
            server.prepare()
        product = product_programs(self.state, secrets, ports, self.settings.metrics_port)
        programs = [*data_programs(postgres, redis), *product]
        supervisor.spawn(programs, environment)
        for server in (postgres, redis):
            server.wait_until_ready()

        self.say("Preparing the database …")
        self._prepare_database(environment, secrets)
        self.say("Starting the API, the workers, beat and Flower …")
        supervisor.start_group("product")
        access = Access.of(ports, secrets)
        wait_until_ready(access.url, supervisor)
        return access

    def _prepare_database(self, environment: dict[str, str], secrets: Secrets) -> None:
        """Bring the schema up to date; on the first run make the admin."""
        _run_cli(environment, "migrate")
        if not self.state.admin_mark.exists():
            login = {"ADMIN_PASSWORD": secrets.admin_password}
            _run_cli(environment | login, "add-admin", ADMIN, "--email", ADMIN_EMAIL)
            self.state.admin_mark.touch()

    def _stop(self, supervisor: Supervisor) -> None:
        with undisturbed():
            pid = supervisor.pid()
            if pid is not None:
                self.say("Stopping …")
                supervisor.shut_down()
                wait_for_end(pid, STOP_PATIENCE_SECONDS)
            left = end_all(self.state.root, self._cluster().home)
        if left:
            raise StackError(f"these processes cannot be stopped: {', '.join(str(p.pid) for p in left)}")

    def _say_if_elsewhere(self) -> None:
        """A running stack keeps its ports; tell a caller who asked for others."""
        ports = self._running_ports()
        asked = {self.settings.port: ports.api, self.settings.flower_port: ports.flower}
        if any(wanted is not None and wanted != actual for wanted, actual in asked.items()):
            self.say("The stack runs already and keeps its ports; `make down` first to move it.")

    def _running_ports(self) -> Ports:
        ports = self.state.load_ports()
        if ports is None:
            raise StackError(f"{self.state.root} is damaged: `make clean` starts anew")
        return ports

    def _supervisor(self, secrets: Secrets) -> Supervisor:
        return Supervisor(self.state, secrets.supervisor_password)

    def _cluster(self, port: int = 0, password: str = "") -> Cluster:
        return Cluster(self.state.root / "postgres", port, password)


def _run_cli(environment: dict[str, str], *arguments: str) -> None:
    """Run a command of the API's operators' interface. Raises `StackError` with its error output."""
    argv = [sys.executable, "-m", "api.cli", *arguments]
    done = subprocess.run(argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip() or done.stdout.strip()
        raise StackError(f"`python -m api.cli {arguments[0]}` failed: {reason}")
