"""The containers and the local stack run what the code expects."""

import re
from pathlib import Path

from shared.queue import QUEUES

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
OTHERS = {"FLOWER_BASIC_AUTH", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"}  # of other programs


def consumed(text: str) -> set[str]:
    """Queues in comma-separated lists."""
    lists = re.findall(r"\"((?:[a-z]+(?:\.[a-z]+)?,)+[a-z]+(?:\.[a-z]+)?)\"", text)
    return {name for names in lists for name in names.split(",")}


def test_every_queue_is_consumed_wherever_the_product_runs() -> None:
    in_containers = COMPOSE + (ROOT / "Dockerfile.worker").read_text()
    on_a_cluster = "".join(
        path.read_text() for path in (ROOT / "deploy" / "kubernetes").rglob("worker-*.yaml")
    )
    for text in (in_containers, on_a_cluster, (ROOT / "stack" / "programs.py").read_text()):
        assert set(QUEUES) <= consumed(text)


def test_a_setting_is_handed_on_under_its_own_name() -> None:
    pairs = re.findall(r"^ +([A-Z][A-Z0-9_]+): [\"]?\$\{([A-Z0-9_]+)", COMPOSE, re.MULTILINE)
    assert len(pairs) > 40
    assert [pair for pair in pairs if pair[0] != pair[1] and pair[0] not in OTHERS] == []
