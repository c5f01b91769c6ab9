"""Is Redis there, and would it keep what it is given?"""

from collections.abc import Iterator
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

from shared.doctor.finding import Finding, ok, problem, warning
from shared.settings import Settings

PATIENCE_S = 2


def check(settings: Settings) -> Iterator[Finding]:
    try:
        with Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_timeout=PATIENCE_S,
            socket_connect_timeout=PATIENCE_S,
        ) as redis:
            facts = cast("dict[str, Any]", redis.info())
    except RedisError:
        facts = None
        yield problem(
            "broker", "Redis does not answer or refuses the login: check REDIS_URL, and that it runs."
        )
    if facts:
        yield ok("broker", f"Redis {facts.get('redis_version', '')} answers")
        yield from _keeping(facts)


def _keeping(facts: dict[str, Any]) -> Iterator[Finding]:
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield warning(
            "broker memory",
            f"maxmemory-policy is {policy}, which drops messages without a word: set it to noeviction.",
        )
    if not facts.get("aof_enabled"):
        yield warning(
            "broker disk",
            "Redis keeps no append-only file, so wake-ups are lost when it restarts: set appendonly to yes.",
        )
