"""What can break: one small function each, and the table of all of them."""

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
from tests.faults.scene import POISON_SIZE, Fault, Scene
from tests.faults.system import BEAT, REPORT, SCAN, SCAN_2, until

LEASE_S = 3.0


def nothing(scene: Scene) -> None:
    """The fault is in the environment, or there is none."""
    scene.wait_for_work()


def kill_scan_child(scene: Scene) -> None:
    scene.wait_for_work()
    scene.system.kill_child(SCAN)


def kill_scan_children_again_and_again(scene: Scene) -> None:
    for name in (SCAN, SCAN_2, SCAN, SCAN_2):
        scene.wait_for_work(0.1)
        scene.system.kill_child(name)
        scene.last(3)


def kill_scan_parent(scene: Scene) -> None:
    scene.wait_for_work()
    scene.system.kill(SCAN)


def kill_report_worker(scene: Scene) -> None:
    until(lambda: scene.driver.reports > 0, "a report is asked for")
    scene.system.kill_child(REPORT)
    scene.system.kill(REPORT)


def kill_api_worker(scene: Scene) -> None:
    for _ in range(3):
        scene.system.kill_child("api")
        scene.last(1)


def kill_beat(scene: Scene) -> None:
    scene.wait_for_work()
    scene.system.kill(BEAT)


def kill_everything(scene: Scene) -> None:
    scene.wait_for_work()
    scene.system.kill_all()


def cut_the_power(scene: Scene) -> None:
    """Every process at once, Postgres and Redis too."""
    scene.wait_for_work()
    scene.system.kill_all()
    scene.system.redis.stop(signal.SIGKILL)
    scene.system.postgres.stop(signal.SIGQUIT)
    scene.system.postgres.start()
    scene.system.redis.start()


def stop_scan_workers_politely(scene: Scene) -> None:
    """As a rolling restart does."""
    for name in (SCAN, SCAN_2):
        scene.wait_for_work(0.1)
        scene.system.terminate(name)


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
    with scene.system.paused(process.pid):
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


def break_the_image_folder(scene: Scene) -> None:
    """Neither uploads nor pictures can be written: a plain file stands where the folder was."""
    scene.wait_for_work(0.1)
    for name in ("original", "heatmap"):
        folder = scene.system.settings.image_folder / name
        aside = folder.with_name(f"{name}.aside")
        folder.rename(aside)
        folder.touch()
        time.sleep(1.5)
        folder.unlink()
        aside.rename(folder)


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


def wake_a_paused_worker(scene: Scene) -> None:
    """It sleeps past its lease, and goes on as if nothing had happened."""
    scene.wait_for_work(0.1)
    with scene.system.paused(scene.system.child(SCAN)):
        time.sleep(LEASE_S + 3)


def _fail_at(point: str, action: str = "kill:2") -> Fault:
    return Fault(f"{action} at {point}", nothing, {"FAIL_AT": f"{point}:{action}"})


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


POISON = Fault(
    "a picture that kills",
    nothing,
    {"FAIL_AT": f"decoded@{POISON_SIZE[0]}x{POISON_SIZE[1]}:kill"},
    poisoned=1,
)
SHORT = (
    Fault("kill a scan worker's parent", kill_scan_parent),
    Fault("empty Redis", flush_redis),
    Fault("restart Postgres", restart_postgres),
    Fault("lose answers to commits", lose_answers_to_commits),
    Fault("deliver hints three times", deliver_hints_three_times),
)
FAULTS = (
    Fault("no fault", nothing),
    *SHORT,
    Fault("kill a scan worker's child", kill_scan_child),
    Fault("kill children again and again", kill_scan_children_again_and_again),
    Fault("kill everything", kill_everything),
    Fault("kill the report worker", kill_report_worker),
    Fault("kill API workers", kill_api_worker),
    Fault("kill beat", kill_beat),
    Fault("cut the power", cut_the_power),
    Fault("stop scan workers politely", stop_scan_workers_politely),
    Fault("restart Redis", restart_redis),
    Fault("pause Redis", pause_redis),
    Fault("fill Redis", fill_redis),
    Fault("cut database connections", cut_database_connections),
    Fault("make Postgres read-only", make_database_read_only),
    Fault("hang Postgres", hang_the_database),
    Fault("slow down Postgres", slow_down_the_database),
    Fault("break the image folder", break_the_image_folder),
    Fault("wake a paused worker", wake_a_paused_worker),
    *(
        _fail_at(point)
        for point in (
            "uploads-stored",
            "rows-committed",
            "claimed",
            "fetched",
            "decoded",
            "predicted",
            "drawn",
            "picture-stored",
            "pictures-stored",
            "results-recorded",
            "leases-renewed",
            "report-claimed",
            "report-rendered",
            "report-stored",
            "report-recorded",
        )
    ),
    _fail_at("predicted", "raise:2"),
    _fail_at("picture-stored", "raise:2"),
    _fail_at("picture-stored", "hang:2"),
    _fail_at("fetched", "hang:2"),
    _fail_at("claimed", "exit:2"),
    POISON,
)
