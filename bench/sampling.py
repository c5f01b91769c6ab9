"""What a stack holds: memory, threads and files of each process, connections, and files on the disk."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import psycopg2
from redis import Redis

MIB = 1024 * 1024
OWN_NAME = "soak"  # of our own connection
SHARED_MEMORY = "/dev/shm/"  # noqa: S108 - looked at, not written to

_CONNECTIONS = """
    SELECT coalesce(nullif(application_name, ''), 'unnamed'), count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name <> %s GROUP BY 1
"""
_ROLES = ("api", "scan-worker", "report-worker", "beat", "flower")


class Sampler:
    """Looks at the stack's processes, servers and folders. Names of measures are `what/of whom`.

    `temporary` is the TMPDIR of all processes. Of shared memory, which the whole machine has in one folder,
    what these processes have mapped is counted.
    """

    def __init__(
        self, status: Mapping[str, Any], environment: Mapping[str, str], state: Path, temporary: Path
    ) -> None:
        self._status = status
        self._state = state
        self._temporary = temporary
        self._connection = psycopg2.connect(environment["DATABASE_URL"], application_name=OWN_NAME)
        self._connection.autocommit = True
        self._redis = Redis.from_url(environment["REDIS_URL"])
        self._began = time.monotonic()
        self.samples: list[dict[str, float]] = []

    def close(self) -> None:
        self._connection.close()
        self._redis.close()

    def look(self) -> None:
        """Take one sample and keep it. A process or file that has just gone counts as nothing."""
        sample: dict[str, float] = defaultdict(float)
        sample["seconds"] = round(time.monotonic() - self._began, 1)
        for process in self._status["processes"]:
            if process["role"] in _ROLES and process["pid"]:
                _add_process(sample, process["role"], process["pid"])
        self._add_servers(sample)
        self._add_files(sample)
        self.samples.append(dict(sample))

    def _add_servers(self, sample: dict[str, float]) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(_CONNECTIONS, (OWN_NAME,))
            for name, count in cursor:
                sample[f"postgres connections/{name}"] = count
        sample["redis connections/all"] = len(self._redis.client_list())
        sample["redis memory MiB/all"] = round(self._redis.info("memory")["used_memory"] / MIB, 2)

    def _add_files(self, sample: dict[str, float]) -> None:
        temporary = list(_sizes(self._temporary))
        sample["temporary files/all"] = len(temporary)
        sample["temporary MiB/all"] = round(sum(temporary) / MIB, 2)
        sample["schedule MiB/beat"] = round(sum(_sizes(self._state / "beat")) / MIB, 2)
        sample["part files/all"] = sum(1 for _ in self._state.rglob("*.part"))


def _sizes(folder: Path) -> Iterator[int]:
    """Bytes of each file below."""
    for file in folder.rglob("*"):
        try:
            if file.is_file():
                yield file.stat().st_size
        except FileNotFoundError:
            continue


def _add_process(sample: dict[str, float], role: str, pid: int) -> None:
    """The process that the supervisor knows, and apart from it the memory of those that it has made."""
    head, children = _family(pid)
    for part, whose in (*((one, role) for one in head), *((one, f"{role} children") for one in children)):
        try:
            with part.oneshot():
                memory, threads, files = part.memory_info().rss, part.num_threads(), part.num_fds()
                shared = _shared_memory_files(part.pid)
        except (psutil.NoSuchProcess, FileNotFoundError):
            continue
        sample[f"memory MiB/{whose}"] += round(memory / MIB, 1)
        sample[f"threads/{role}"] += threads
        sample[f"open files/{role}"] += files
        sample[f"processes/{role}"] += 1
        sample[f"shared memory files/{role}"] += shared


def _family(pid: int) -> tuple[list[psutil.Process], list[psutil.Process]]:
    try:
        head = psutil.Process(pid)
        return [head], head.children(recursive=True)
    except psutil.NoSuchProcess:
        return [], []


def _shared_memory_files(pid: int) -> int:
    """How many files of shared memory the process has mapped, also those that have no name any more."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return len({path for line in lines if (path := line.partition("/")[2]).startswith(SHARED_MEMORY[1:])})
