"""Metrics and log lines of the real worker, beside the real API."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from shared.services import Services
from stack.ports import LOOPBACK, free_port
from tests.fakes import picture
from tests.faults.programs import working_children
from tests.integration.conftest import ADMIN_PASSWORD
from tests.integration.worker_run import ROOT, RunningWorker, all_ended, start_worker, stop_worker, until
from tests.servers.gunicorn import running_api

ONLY_WITH_A_GRAPHICS_CARD = {"brain_tumor_device_memory_bytes"}


@contextmanager
def worker_on(services: Services, folder: Path, port: int) -> Iterator[RunningWorker]:
    worker = start_worker(services.settings, folder, ENGINE="load-test", METRICS_PORT=str(port))
    try:
        yield worker
    finally:
        stop_worker(worker)


def scrape(port: int) -> str:
    return httpx.get(f"http://{LOOPBACK}:{port}/metrics", trust_env=False, timeout=20).text


def is_served(port: int) -> bool:
    try:
        return "brain_tumor_model_loaded 1.0" in scrape(port)
    except httpx.TransportError:
        return False


def value(text: str, name: str, **labels: str) -> float:
    """One sample; 0 if there is none."""
    families = text_string_to_metric_families(text)
    return sum(s.value for f in families for s in f.samples if s.name == name and s.labels == labels)


def sample_names(text: str) -> set[str]:
    """What a query may name, also of families that have no sample yet."""
    ends = {"histogram": ("_bucket", "_sum", "_count")}
    typed = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    return {name + end for name, kind in typed for end in ends.get(kind, ("",))}


def asked_for() -> set[str]:
    """Metrics that alerts and the dashboard name."""
    monitoring = ROOT / "deploy" / "monitoring"
    files = [monitoring / "rules" / "alerts.yml", monitoring / "grafana" / "dashboards" / "brain-tumor.json"]
    pattern = r"\b(?:brain_tumor|process)_[a-z_]+"
    return {name for file in files for name in re.findall(pattern, file.read_text())}


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def test_an_upload_can_be_followed_by_ids_and_every_figure_that_is_watched_exists(
    real_services: Services, patient: int, tmp_path: Path
) -> None:
    worker_port, api_port = free_port(), free_port()
    log = tmp_path / "api.log"
    with (
        worker_on(real_services, tmp_path, worker_port) as worker,
        running_api(real_services.settings, log, METRICS_PORT=str(api_port), TMPDIR=str(tmp_path)) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as http,
    ):
        until(lambda: is_served(worker_port), "the worker's metrics are served")
        body = {"username": "admin", "password": ADMIN_PASSWORD}
        token = http.post("/api/admin/login", json=body).json()["token"]
        answer = http.post(
            "/api/admin/scans/upload",
            data={"patient_id": str(patient)},
            files=[("files", ("a.png", picture())), ("files", ("b.png", b"no picture"))],
            headers={"Authorization": f"Bearer {token}", "X-Request-ID": "followed-1"},
        )
        sent = answer.json()
        until(lambda: all_ended(real_services, 1), "the scan is analysed")
        until(lambda: bool(worker.events("scan ended")), "it is logged")
        of_worker, of_api = scrape(worker_port), scrape(api_port)

    of_request = [line for line in lines_of(log) if line.get("request_id") == "followed-1"]
    [accepted] = [line for line in of_request if line["event"] == "scans accepted"]
    assert "request" in {line["event"] for line in of_request}
    assert (accepted["batch_id"], accepted["job_ids"]) == (sent["batch_id"], sent["job_ids"])
    [ended] = [line for line in worker.events("scan ended") if line["job_id"] in accepted["job_ids"]]
    assert ended["scan_id"] == sent["scan_ids"][0]
    assert ended["batch_id"] == sent["batch_id"]
    assert (ended["attempt"], ended["outcome"]) == (1, "analysed")

    assert value(of_worker, "brain_tumor_job_attempts_total", kind="scan", outcome="analysed") == 1
    for stage in ("wait", "fetch", "decode", "predict", "draw", "record"):
        assert value(of_worker, "brain_tumor_stage_seconds_count", kind="scan", stage=stage) == 1, stage
    assert value(of_worker, "brain_tumor_stage_seconds_count", kind="scan", stage="store") == 2
    assert value(of_worker, "brain_tumor_batch_size_sum") == 1
    assert value(of_worker, "brain_tumor_batch_limit") == real_services.settings.batch_size
    assert value(of_worker, "brain_tumor_sweeps_total", outcome="ran") >= 1
    assert value(of_api, "brain_tumor_workers_alive", role="scan") == 1

    exported = sample_names(of_worker) | sample_names(of_api)
    assert len(asked_for()) > 40
    assert asked_for() - exported - ONLY_WITH_A_GRAPHICS_CARD == set()
    ids = {*sent["job_ids"], *sent["scan_ids"], sent["batch_id"]}
    assert [name for name in ids if name in of_worker + of_api] == []


def test_a_replaced_child_takes_the_port_over_and_a_taken_port_stops_nobody(
    real_services: Services, tmp_path: Path
) -> None:
    port = free_port()
    with (
        socket.create_server((LOOPBACK, port)) as squatter,
        worker_on(real_services, tmp_path, port) as worker,
    ):
        until(lambda: bool(worker.events("metrics not served yet")), "the port is missed")
        assert worker.process.poll() is None
        squatter.close()
        until(lambda: is_served(port), "the port is taken once it is free")
        [child] = working_children(worker.process.pid)
        os.kill(child, signal.SIGKILL)
        until(lambda: bool(set(working_children(worker.process.pid)) - {child}), "there is another child")
        until(lambda: is_served(port), "it serves metrics")
