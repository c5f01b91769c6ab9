"""The supervisor that keeps the processes running: its configuration, and talking to it."""

import os
import shlex
import subprocess
import sys
import xmlrpc.client  # our own supervisor, over a socket in a private folder  # nosec B411
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from stack.errors import StackError
from stack.programs import Program
from stack.state import StateFolder

RPC_USER = "stack"
LOG_BYTES, LOG_BACKUPS = "10MB", 3
GROUPS = ("data", "product")  # in the order of starting; stopping goes backwards
START_RETRIES = 30  # with a pause that grows by a second: minutes of patience, for example with Postgres


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What the supervisor says about one process; `pid` is 0 when there is none."""

    role: str
    group: str
    pid: int
    state: str


@dataclass(frozen=True, slots=True)
class Supervisor:
    """The supervisor of one state folder, whether it runs or not."""

    state: StateFolder
    password: str

    def spawn(self, programs: Sequence[Program], environment: Mapping[str, str]) -> None:
        """Start the supervisor in the background; it starts the group `data`. Returns when it listens."""
        config = self.state.supervisor_config
        config.touch(mode=0o600)
        config.chmod(0o600)
        config.write_text(render_config(self.state, self.password, programs))
        self.state.supervisor_socket.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)]
        done = subprocess.run(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # Ctrl-C at the terminal is for us: we stop the supervisor in order
        )
        if done.returncode != 0:
            raise StackError(f"the supervisor does not start: {done.stderr.strip() or done.stdout.strip()}")

    def pid(self) -> int | None:
        """The supervisor's process id; None when it does not run."""
        try:
            with self._rpc() as rpc:
                return int(rpc.getPID())
        except (OSError, HTTPException, xmlrpc.client.Error):
            return None

    def processes(self) -> list[ProcessState]:
        """All processes in the order of starting; empty when the supervisor does not run."""
        try:
            with self._rpc() as rpc:
                found = rpc.getAllProcessInfo()
        except (OSError, HTTPException, xmlrpc.client.Error):
            return []
        states = [ProcessState(p["name"], p["group"], p["pid"], p["statename"]) for p in found]
        return sorted(states, key=lambda process: GROUPS.index(process.group))

    def start_group(self, group: str) -> None:
        """Start what does not run in `group`, without waiting for it."""
        with self._rpc() as rpc:
            wait = False
            rpc.startProcessGroup(group, wait)

    def shut_down(self) -> None:
        """Ask the supervisor to stop everything, `data` last, and then itself. Returns at once."""
        with self._rpc() as rpc:
            rpc.shutdown()

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        address = f"unix://{self.state.supervisor_socket}"
        transport = SupervisorTransport(RPC_USER, self.password, address)
        try:
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        finally:
            transport.close()


def render_config(state: StateFolder, password: str, programs: Sequence[Program]) -> str:
    """The text of supervisord.conf. It holds passwords: store it for the owner only."""
    server = {
        "logfile": state.logs / "supervisor.log",
        "logfile_maxbytes": LOG_BYTES,
        "logfile_backups": LOG_BACKUPS,
        "pidfile": state.root / "supervisord.pid",
        "umask": "077",
        **({"user": "root"} if os.geteuid() == 0 else {}),  # stay root knowingly, else it warns
    }
    control = {"file": state.supervisor_socket, "chmod": "0700", "username": RPC_USER, "password": password}
    factory = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}
    sections = [
        _section("supervisord", server),
        _section("unix_http_server", control),
        _section("rpcinterface:supervisor", factory),
        *(_program_section(state, program) for program in programs),
        *(_group_section(group, programs) for group in GROUPS),
    ]
    return "\n".join(sections)


def _program_section(state: StateFolder, program: Program) -> str:
    options: dict[str, object] = {
        "command": shlex.join(program.argv),
        "directory": program.directory,
        "autostart": _flag(program.group == "data"),
        "autorestart": "true",
        "startsecs": program.settle_seconds,
        "startretries": START_RETRIES,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_seconds,
        "stopasgroup": _flag(program.stop_children_too),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": str(state.logs / f"{program.role}.log").replace("%", "%%"),  # expanded twice
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": LOG_BACKUPS,
    }
    if program.user:
        options["user"] = program.user
    if program.environment:
        options["environment"] = ",".join(f'{name}="{value}"' for name, value in program.environment.items())
    return _section(f"program:{program.role}", options)


def _group_section(group: str, programs: Sequence[Program]) -> str:
    roles = [program.role for program in programs if program.group == group]
    return _section(f"group:{group}", {"programs": ",".join(roles), "priority": GROUPS.index(group) + 1})


def _section(name: str, options: Mapping[str, object]) -> str:
    lines = [f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _flag(value: bool) -> str:
    return "true" if value else "false"
