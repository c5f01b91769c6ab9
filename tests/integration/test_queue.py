"""Wake-ups over a real Redis: they carry ids and nothing else, and a broker that is ill delays nobody."""

import base64
import json
import socket
import time
import uuid

import pytest
from redis import Redis

from shared.models import JobKind, Lane
from shared.queue import QUEUE_BULK, QUEUE_INTERACTIVE, QUEUE_MAIL, QUEUE_REPORTS, Hint, make_queue
from shared.settings import Settings
from stack.ports import LOOPBACK, free_port
from stack.redis_server import RedisServer


@pytest.fixture
def redis(redis_server: RedisServer) -> Redis:
    client = Redis.from_url(redis_server.url)
    client.flushall()
    yield client
    client.close()


def waiting(count: int) -> list[Hint]:
    return [Hint(uuid.uuid4()) for _ in range(count)]


def test_one_hint_wakes_for_a_whole_batch(settings: Settings, redis: Redis) -> None:
    queue = make_queue(settings)
    assert queue.wake(JobKind.SCAN, Lane.BULK, waiting(40))
    assert redis.llen(QUEUE_BULK) == 3  # 40 rows are three batches of 16
    assert queue.waiting_hints(JobKind.SCAN, Lane.BULK) == 3
    assert queue.wake(JobKind.SCAN, Lane.INTERACTIVE, waiting(1))
    assert queue.wake(JobKind.REPORT, Lane.INTERACTIVE, waiting(2))
    assert (redis.llen(QUEUE_INTERACTIVE), redis.llen(QUEUE_REPORTS)) == (1, 2)


def test_a_message_holds_the_ids_of_a_job_and_its_batch_and_nothing_about_a_patient(
    settings: Settings, redis: Redis
) -> None:
    job_id, batch_id = uuid.uuid4(), uuid.uuid4()
    queue = make_queue(settings)
    queue.wake(JobKind.SCAN, Lane.INTERACTIVE, [Hint(job_id, batch_id), Hint(job_id)])
    queue.wake(JobKind.MAIL, Lane.INTERACTIVE, [Hint(job_id)])
    message = json.loads(redis.lrange(QUEUE_INTERACTIVE, 0, -1)[0])
    arguments, options, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, options) == ([str(job_id)], {})
    assert message["headers"]["argsrepr"] == f"batch {batch_id}, job {job_id}"  # what Flower shows
    assert message["headers"]["kwargsrepr"] == "{}"
    mail = json.loads(redis.lrange(QUEUE_MAIL, 0, -1)[0])
    assert mail["headers"]["argsrepr"] == f"job {job_id}"


def test_a_broker_that_is_down_costs_one_short_try_then_none(settings: Settings) -> None:
    port = free_port()
    down = settings.model_copy(update={"redis_url": type(settings.redis_url)(f"redis://{LOOPBACK}:{port}/0")})
    queue = make_queue(down)
    began = time.monotonic()
    assert not queue.wake(JobKind.SCAN, Lane.BULK, waiting(200))
    assert time.monotonic() - began < 3
    with socket.create_server((LOOPBACK, port)) as broker:
        broker.settimeout(0)
        assert not queue.wake(JobKind.SCAN, Lane.BULK, waiting(200))
        with pytest.raises(BlockingIOError):  # nobody called
            broker.accept()
    assert not queue.is_up()
    assert queue.waiting_hints(JobKind.SCAN, Lane.BULK) == 0
