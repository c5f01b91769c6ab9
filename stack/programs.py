"""The processes of the product: what each one runs, as whom, and how it is stopped."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stack.ports import LOOPBACK, Ports
from stack.postgres import Cluster
from stack.redis_server import RedisServer
from stack.settings import CHECKOUT
from stack.state import Secrets, StateFolder

FLOWER_USER = "ops"
FLOWER_TASKS = 5000  # that it remembers, 5 KB each; by default it goes on growing up to 100,000
WORKER_STOP_SECONDS = 90  # longest batch plus Celery's own slow exit, which can take half a minute
STOP_SECONDS = 30
# Between two operations the model's threads sleep: spinning, OpenMP's default, takes the cores from those
# that decode and draw beside it.
MODEL_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
# Memory of a decoded picture goes back to the system: without it one API process kept 1.2 GB of bad inputs.
BIG_BLOCKS = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
OWNER_VARIABLE = "BRAIN_TUMOR_STACK"  # in every process of a stack: the state folder that it belongs to


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised process. `group` data starts first and stops last."""

    role: str
    group: str
    argv: tuple[str, ...]
    directory: Path = CHECKOUT
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    stop_seconds: int = STOP_SECONDS
    stop_children_too: bool = True
    settle_seconds: int = 2


def product_environment(
    inherited: Mapping[str, str], state: StateFolder, secrets: Secrets, postgres: Cluster, redis: RedisServer
) -> dict[str, str]:
    """Where everything is, in the variables of shared/settings.py, on top of the caller's environment."""
    return {
        **inherited,
        "DATABASE_URL": postgres.url,
        "REDIS_URL": redis.url,
        "SECRET_KEY": secrets.secret_key,
        "IMAGE_FOLDER": str(state.root / "images"),
        "REPORT_FOLDER": str(state.root / "reports"),
        "STAGING_FOLDER": str(state.root / "staging"),
        "PYTHONUNBUFFERED": "1",
        OWNER_VARIABLE: str(state.root),
    }


def data_programs(postgres: Cluster, redis: RedisServer) -> list[Program]:
    """Postgres and Redis. Postgres ends its own children; a signal to each of them would be a crash to it."""
    return [
        Program(
            "postgres",
            "data",
            tuple(postgres.command()),
            directory=postgres.working_directory,
            user=postgres.system_user,
            stop_signal="INT",
            stop_children_too=False,
        ),
        Program("redis", "data", tuple(redis.command()), directory=redis.working_directory),
    ]


def product_programs(
    state: StateFolder, secrets: Secrets, ports: Ports, metrics_port: int | None = None
) -> list[Program]:
    """The API, the workers, the scheduler and the monitor; `metrics_port` and the next two: see settings."""
    serving = [{"METRICS_PORT": str(metrics_port + n)} if metrics_port else {} for n in range(3)]
    flower_login = {"FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{secrets.flower_password}"}
    to_flower = {"FLOWER_URL": f"http://{LOOPBACK}:{ports.flower}"}
    schedule = ("beat", "--schedule", str(state.root / "beat" / "schedule"))
    flower = ("flower", f"--address={LOOPBACK}", f"--port={ports.flower}", f"--max-tasks={FLOWER_TASKS}")
    return [
        Program(
            "api", "product", _gunicorn(ports.api), environment={**BIG_BLOCKS, **to_flower, **serving[0]}
        ),
        _worker("scan", "scans.interactive,scans.bulk", serving[1]),
        _worker("report", "reports,mail,system", serving[2]),
        Program("beat", "product", _celery(*schedule)),
        Program("flower", "product", _celery(*flower), environment=flower_login),
    ]


def _gunicorn(port: int) -> tuple[str, ...]:
    options = ("--config", "api/server.py", "--bind", f"{LOOPBACK}:{port}")
    stop = ("--graceful-timeout", str(STOP_SECONDS))
    return (sys.executable, "-m", "gunicorn", *options, *stop, "api.wsgi:app")


def _worker(role: str, queues: str, serving: Mapping[str, str]) -> Program:
    """A Celery worker with one child that computes.

    Only the parent is asked to stop: it lets the child finish its batch, which a signal of its own would end.
    """
    pool = ("-P", "prefork", "-c", "1", "--pool-start-method", "spawn")
    return Program(
        f"{role}-worker",
        "product",
        _celery("worker", "-n", f"{role}@%h", "-Q", queues, *pool),
        environment={"WORKER_ROLE": role, **MODEL_THREADS, **BIG_BLOCKS, **serving},
        stop_seconds=WORKER_STOP_SECONDS,
        stop_children_too=False,
    )


def _celery(command: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "-A", "worker.app", command, *options)
