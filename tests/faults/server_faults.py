"""Postgres and Redis that die, hang, are full, or lose what they were told."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from redis import Redis
from sqlalchemy import select

from shared.models import Job, Scan
from shared.queue import make_celery, queue_of
from stack.postgres import Cluster
from tests.faults.programs import paused
from tests.faults.scene import Fault, Scene


def restart_redis(scene: Scene) -> None:
    scene.wait_for_work()
    scene.system.redis.stop(signal.SIGKILL)
    scene.last(2)
    scene.system.redis.start()


def flush_redis(scene: Scene) -> None:
    with _redis(scene) as redis:
        for share in (0.1, 0.4):
            scene.wait_for_work(share)
            redis.flushall()


def pause_redis(scene: Scene) -> None:
    process = scene.system.redis.process
    assert process is not None
    scene.wait_for_work(0.1)
    with paused(process.pid):
        scene.last(30)


def fill_redis(scene: Scene) -> None:
    """No memory left: Redis refuses whatever is sent."""
    scene.wait_for_work(0.1)
    with _redis(scene) as redis:
        redis.config_set("maxmemory", "1")
        scene.last(6)
        redis.config_set("maxmemory", "0")


def restart_postgres(scene: Scene) -> None:
    scene.wait_for_work()
    scene.system.postgres.stop(signal.SIGQUIT)
    scene.last(2)
    scene.system.postgres.start()


def cut_database_connections(scene: Scene) -> None:
    scene.wait_for_work(0.1)
    for _ in range(5):
        _tell(
            scene.system.postgres,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
        scene.last(1)


def make_database_read_only(scene: Scene) -> None:
    scene.wait_for_work(0.1)
    cluster = scene.system.postgres
    _tell(cluster, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    scene.last(5)
    _tell(cluster, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


def lose_answers_to_commits(scene: Scene) -> None:
    """The commit counts, and whoever asked for it is told that the connection broke."""
    for _ in range(6 if scene.is_brief else 20):
        scene.system.postgres_proxy.drop_replies_to(b"COMMIT")
        time.sleep(0.25)


def hang_the_database(scene: Scene) -> None:
    scene.wait_for_work(0.1)
    with scene.system.postgres_proxy.hanging():
        scene.last(9)


def slow_down_the_database(scene: Scene) -> None:
    scene.wait_for_work(0.1)
    scene.system.postgres_proxy.delay_s = 0.05
    scene.last(6)
    scene.system.postgres_proxy.delay_s = 0


def deliver_hints_three_times(scene: Scene) -> None:
    """Every job's message, and two more of it, whatever the API sends itself."""
    app = make_celery(scene.system.settings)
    sent: set[object] = set()
    while len(sent) < len(scene.driver.pictures):
        with scene.system.services.sessions() as session:
            query = select(Job).join(Scan).where(Scan.patient_id == scene.driver.patient_id)
            new = [job for job in session.scalars(query) if job.id not in sent]
        for job in new:
            for _ in range(3):
                app.send_task("scans.analyse", args=[str(job.id)], queue=queue_of(job.kind, job.lane))
            sent.add(job.id)
        time.sleep(0.05)


@contextmanager
def _redis(scene: Scene) -> Iterator[Redis]:
    with Redis.from_url(scene.system.redis.url) as redis:
        yield redis


def _tell(cluster: Cluster, *statements: str) -> None:
    connection = psycopg2.connect(cluster.url, options="-c default_transaction_read_only=off")
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


SERVER_FAULTS = (
    Fault("restart Redis", restart_redis),
    Fault("pause Redis", pause_redis),
    Fault("fill Redis", fill_redis),
    Fault("cut database connections", cut_database_connections),
    Fault("make Postgres read-only", make_database_read_only),
    Fault("hang Postgres", hang_the_database),
    Fault("slow down Postgres", slow_down_the_database),
)
