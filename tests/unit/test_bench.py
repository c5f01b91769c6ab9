"""The bench's own arithmetic, its load and its late store: wrong ones would make any figure worthless."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.__main__ import PARTS, main
from bench.figures import Figure, Goal, compare, take_turns, write
from bench.load import drive, get
from bench.plan import Plan
from bench.slow_store import SlowStore
from shared.errors import ObjectNotFoundError
from shared.storage.s3 import Bucket, S3Connection, S3Store


def test_what_is_compared_takes_turns_after_a_warm_up() -> None:
    calls: list[str] = []

    def noting(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    values = take_turns({"a": lambda: noting("a"), "b": lambda: noting("b")}, 2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert values == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    figure = compare("ours", [10, 20, 90], "images/s", "theirs", [5, 20, 30])
    assert (figure.value, figure.ratio) == (20, 2)  # of 2, 1 and 3; the medians' own ratio would be 1
    assert figure.spread == 40  # from 15 to 55


def test_rounds_that_are_not_as_many_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        compare("ours", [1, 2], "s", "theirs", [1])


@pytest.mark.parametrize(
    ("goal", "is_met"),
    [
        (Goal(at_least=2), True),
        (Goal(at_least=2.1), False),
        (Goal(at_most=1.9), False),
        (Goal(at_most=100, of_value=True), True),
        (Goal(at_least=101, of_value=True), False),
    ],
)
def test_a_goal_is_about_the_ratio_or_the_value(goal: Goal, is_met: bool) -> None:
    assert goal.is_met(Figure("a", 100, "ms", "b", 2, 0)) is is_met


def test_results_are_a_list_of_figures_with_the_promised_fields(tmp_path: Path) -> None:
    write(
        [compare("a", [1.0], "s", "b", [2.0], Goal(at_most=1)) for _ in range(2)], tmp_path / "new" / "r.json"
    )
    figure = {"name": "a", "value": 1, "unit": "s", "against": "b", "ratio": 0.5, "spread": 0}
    assert json.loads((tmp_path / "new" / "r.json").read_text()) == [figure, figure]


def test_a_quick_run_of_a_part_writes_figures_and_the_machine(tmp_path: Path) -> None:
    assert main(["steps", "--quick", "--out", str(tmp_path)]) == 0
    names = [figure["name"] for figure in json.loads((tmp_path / "results.json").read_text())]
    assert "decode" in names
    assert json.loads((tmp_path / "machine.json").read_text())["cores"] >= 1


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "api" in PARTS


def test_pictures_are_sent_again_where_there_are_too_few() -> None:
    plan = Plan((Path("a"), Path("b")), Path())
    assert plan.files(3) == [Path("a"), Path("b"), Path("a")]


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


def test_the_load_counts_answers_by_status_over_many_connections() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        good = drive(url, [get(url, "/good", "Bearer x")], 4, 0.3)
        mixed = drive(url, [get(url, "/good", "Bearer x"), get(url, "/bad", "Bearer x")], 4, 0.3)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert good.is_clean
    assert good.count == good.answers["200"] >= 4
    assert 0 < good.p50_ms <= good.p99_ms
    assert not mixed.is_clean
    assert set(mixed.answers) == {"200", "404"}


def test_the_late_store_is_an_s3_that_answers_late() -> None:
    slow = SlowStore()
    with slow.serving():
        bucket = Bucket("bench", "us-east-1", "key", "secret", endpoint_url=slow.url)
        store = S3Store(S3Connection(bucket, 10, 4), "images", "images/", 60)
        assert store.is_up()
        store.put("original/a.png", b"data" * 1000, "image/png")
        slow.delay_s = 0.2
        began = time.perf_counter()
        assert store.get("original/a.png") == b"data" * 1000
        assert time.perf_counter() - began >= 0.2
        slow.delay_s = 0.0
        assert not store.exists("original/b.png")
        store.delete("original/a.png")
        with pytest.raises(ObjectNotFoundError):
            store.get("original/a.png")
        store._connection.client.close()
        store._connection.probe.close()
        store._connection.signer.close()
