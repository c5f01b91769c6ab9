"""What is seen of a stack from outside while it works: new jobs, ended jobs, and the API's memory."""

import psutil  # type: ignore[import-untyped]  # ships no types
import psycopg2

MIB = 1024 * 1024

_NEW = "SELECT id, position FROM jobs WHERE kind = 'scan' AND position > %s ORDER BY position"
_ENDED = "SELECT count(*) FROM jobs WHERE kind = 'scan' AND finished_at IS NOT NULL"
_TALLY = """
    SELECT count(*), count(DISTINCT scans.sha256), count(*) FILTER (WHERE jobs.status = 'succeeded'),
        count(DISTINCT scans.sha256) FILTER (WHERE jobs.status = 'succeeded')
    FROM scans JOIN jobs ON jobs.scan_id = scans.id
"""


class Watch:
    """Looks into the database itself and at the process `api_pid` with its children."""

    def __init__(self, database_url: str, api_pid: int) -> None:
        self.ids: list[str] = []
        self.memory_mib: list[float] = []
        self._connection = psycopg2.connect(database_url)
        self._connection.autocommit = True
        self._api = psutil.Process(api_pid)
        self._position = 0

    def close(self) -> None:
        self._connection.close()

    def look(self) -> int:
        """Read what is new. Returns how many jobs have ended."""
        with self._connection.cursor() as cursor:
            cursor.execute(_NEW, (self._position,))
            for job_id, position in cursor:
                self.ids.append(str(job_id))
                self._position = position
            cursor.execute(_ENDED)
            ended = cursor.fetchone()
        members = [self._api, *self._api.children(recursive=True)]
        self.memory_mib.append(round(sum(member.memory_info().rss for member in members) / MIB, 1))
        return int(ended[0]) if ended else 0

    def tally(self) -> dict[str, int]:
        """Rows, distinct pictures, and both of those that were analysed."""
        with self._connection.cursor() as cursor:
            cursor.execute(_TALLY)
            row = cursor.fetchone() or (0, 0, 0, 0)
        return dict(zip(("scans", "distinct", "finished", "finished_distinct"), row, strict=True))
