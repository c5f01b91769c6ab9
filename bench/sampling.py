"""What a stack holds: memory, threads and files of each process, connections, and files on the disk."""

import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import psycopg2
from redis import Redis

MIB = 1024 * 1024
Sample = dict[str, float]

_CONNECTIONS = """
    SELECT coalesce(nullif(application_name, ''), 'unnamed'), count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1
"""
_ROLES = ("api", "scan-worker", "report-worker", "beat", "flower")


class Sampler:
    """Looks at the stack's processes, servers and folders. Names of measures are `what/of whom`."""

    def __init__(self, status: Mapping[str, Any], environment: Mapping[str, str], state: Path) -> None:
        self._status = status
        self._state = state
        self._connection = psycopg2.connect(environment["DATABASE_URL"], application_name="soak")
        self._connection.autocommit = True
        self._redis = Redis.from_url(environment["REDIS_URL"])
        self._began = time.monotonic()
        self.samples: list[Sample] = []

    def close(self) -> None:
        self._connection.close()
        self._redis.close()

    def look(self) -> Sample:
        """Take one sample and keep it. A process that has just ended counts as nothing."""
        sample: Sample = defaultdict(float)
        sample["seconds"] = round(time.monotonic() - self._began, 1)
        for process in self._status["processes"]:
            if process["role"] in _ROLES and process["pid"]:
                self._add_process(sample, process["role"], process["pid"])
        with self._connection.cursor() as cursor:
            cursor.execute(_CONNECTIONS)
            for name, count in cursor:
                sample[f"postgres connections/{name}"] = count
                sample["postgres connections/all"] += count
        sample["redis connections/all"] = len(self._redis.client_list())
        sample["redis memory MiB/all"] = round(self._redis.info("memory")["used_memory"] / MIB, 2)
        sample["part files/all"] = sum(1 for _ in self._state.rglob("*.part"))
        self.samples.append(dict(sample))
        return sample

    def _add_process(self, sample: Sample, role: str, pid: int) -> None:
        for part in _family(pid):
            try:
                with part.oneshot():
                    memory, threads, files = part.memory_info().rss, part.num_threads(), part.num_fds()
            except psutil.NoSuchProcess:
                continue
            sample[f"memory MiB/{role}"] += round(memory / MIB, 1)
            sample[f"threads/{role}"] += threads
            sample[f"open files/{role}"] += files


def _family(pid: int) -> list[psutil.Process]:
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
