"""A process that is forked off while metrics are rendered is whole."""

import os
import threading
import urllib.request

from shared.metrics.endpoint import MetricsEndpoint
from stack.ports import free_port


def test_no_process_is_forked_off_in_the_middle_of_a_scrape() -> None:
    is_rendering, may_end, forked = threading.Event(), threading.Event(), threading.Event()

    def render() -> bytes:
        is_rendering.set()
        may_end.wait(30)
        assert not forked.is_set()
        return b"rendered"

    def fork() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        forked.set()
        os.waitpid(child, 0)

    port = free_port()
    endpoint = MetricsEndpoint("127.0.0.1", port, render)
    endpoint.start()
    answers: list[bytes] = []

    def scrape() -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while not answers:
            try:
                answers.append(opener.open(f"http://127.0.0.1:{port}/metrics", timeout=60).read())
            except OSError:
                threading.Event().wait(0.05)

    scraping, forking = threading.Thread(target=scrape), threading.Thread(target=fork)
    scraping.start()
    assert is_rendering.wait(30)
    forking.start()
    assert not forked.wait(0.3)
    may_end.set()
    scraping.join(60)
    forking.join(60)
    endpoint.stop()
    assert (answers, forked.is_set()) == ([b"rendered"], True)
