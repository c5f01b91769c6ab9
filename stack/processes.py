"""The processes of a stack as the operating system sees them, whether the supervisor knows them or not."""

import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types

from stack.programs import OWNER_VARIABLE

POLL_SECONDS = 0.2


def processes_of(root: Path, data_home: Path) -> list[psutil.Process]:
    """Living processes started for the state folder `root`: its name is in their environment.

    Postgres overwrites its own, and is known by working in `data_home`, the folder of the cluster.
    """
    return [process for process in psutil.process_iter() if _belongs(process, root, data_home)]


def children_of(pid: int) -> list[int]:
    """The ids of all descendants of a process."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def wait_until_gone(root: Path, data_home: Path, seconds: float) -> list[psutil.Process]:
    """Wait for the end of every process of the stack. Returns those that still live after `seconds`."""
    deadline = time.monotonic() + seconds
    while left := processes_of(root, data_home):
        if time.monotonic() > deadline:
            return left
        time.sleep(POLL_SECONDS)
    return []


def wait_for_end(pid: int, seconds: float) -> None:
    """Wait until the process `pid` has ended, at most `seconds`. A zombie counts as ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(POLL_SECONDS)


def end_all(root: Path, data_home: Path, patience: float = 10) -> list[psutil.Process]:
    """Stop every process of the stack, gently, then by force. Returns what cannot be stopped."""
    for force in (False, True):
        for process in processes_of(root, data_home):
            try:
                process.kill() if force else process.terminate()
            except psutil.Error:
                continue
        if not wait_until_gone(root, data_home, patience):
            return []
    return processes_of(root, data_home)


def _belongs(process: psutil.Process, root: Path, data_home: Path) -> bool:
    try:
        if process.environ().get(OWNER_VARIABLE) == str(root):
            return True
        is_postgres, folder = process.name() == "postgres", Path(process.cwd())
    except (psutil.Error, OSError):  # ended meanwhile, a zombie, or another user's
        return False
    return is_postgres and folder.is_relative_to(data_home)
