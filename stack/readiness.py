"""Waiting until a started stack is ready, and saying why when it is not."""

import re
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import httpx

from stack.errors import StackError
from stack.supervisor import ProcessState, Supervisor

READY_SECONDS = 120
POLL_SECONDS = 0.3
MOST_RESTARTS = 2  # a process that keeps ending will not recover by itself
LOG_LINES, PROBLEM_LINES = 15, 5
PROBLEM = re.compile(r'"level": "(error|critical)"|Traceback|\b[A-Z]\w+Error\b|FATAL|CRIT')
CULPRITS = {  # the process behind each check of /api/ready
    "database": "postgres",
    "broker": "redis",
    "image_store": "api",
    "report_store": "api",
    "scan_worker": "scan-worker",
    "report_worker": "report-worker",
}


def wait_until_ready(url: str, supervisor: Supervisor, seconds: float = READY_SECONDS) -> None:
    """Return when every process runs and /api/ready answers 200. Raises `StackError` naming the culprits."""
    deadline = time.monotonic() + seconds
    pids_seen: dict[str, set[int]] = defaultdict(set)
    with httpx.Client(base_url=url, timeout=5, trust_env=False) as client:
        while True:
            processes = supervisor.processes()
            checks = failing_checks(client)
            stopped = [process.role for process in processes if process.state != "RUNNING"]
            if processes and not stopped and not checks:
                return
            if time.monotonic() > deadline or not processes or _is_hopeless(processes, pids_seen):
                raise StackError(explain(processes, checks, supervisor.state.logs))
            time.sleep(POLL_SECONDS)


def failing_checks(client: httpx.Client) -> list[str]:
    """The checks of /api/ready that fail; `["api"]` when it does not answer as it should."""
    try:
        response = client.get("/api/ready")
        if response.status_code == httpx.codes.OK:
            return []
        checks = response.json()["details"]["checks"]
        return [name for name, is_up in checks.items() if not is_up] or ["api"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return ["api"]


def explain(processes: Sequence[ProcessState], checks: Sequence[str], logs: Path) -> str:
    """What is down, and the end of the log of each process behind it."""
    lines = [
        f"{process.role} is {process.state.lower()}" for process in processes if process.state != "RUNNING"
    ]
    lines += [f"/api/ready says that {check} is down" for check in checks]
    culprits = culprits_of(processes, checks) or ["supervisor"]
    tails = [f"--- end of {logs / role}.log ---\n{_tail(logs / f'{role}.log')}" for role in culprits]
    return (
        "the stack does not get ready: "
        + ", ".join(lines or ["the supervisor ended"])
        + "\n"
        + "\n".join(tails)
    )


def culprits_of(processes: Sequence[ProcessState], checks: Sequence[str]) -> list[str]:
    """The processes to look at: those that do not run, else those behind the failing checks."""
    stopped = [process.role for process in processes if process.state != "RUNNING"]
    if stopped:
        return stopped
    return list(dict.fromkeys(CULPRITS.get(check, "api") for check in checks))


def _is_hopeless(processes: Sequence[ProcessState], pids_seen: dict[str, set[int]]) -> bool:
    """Whether a process was given up or keeps ending. `pids_seen` remembers each role's process ids."""
    for process in processes:
        if process.pid:
            pids_seen[process.role].add(process.pid)
    keeps_ending = any(len(pids) > 1 + MOST_RESTARTS for pids in pids_seen.values())
    return keeps_ending or any(process.state == "FATAL" for process in processes)


def _tail(log: Path) -> str:
    """The end of a log and, before it, the last lines that speak of an error."""
    if not log.exists():
        return "(no log)"
    lines = log.read_text(errors="replace").splitlines()
    earlier, last = lines[:-LOG_LINES], lines[-LOG_LINES:]
    problems = [line for line in earlier if PROBLEM.search(line)][-PROBLEM_LINES:]
    return "\n".join([*problems, "…", *last] if problems else last)
