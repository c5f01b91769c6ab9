"""The local stack, as far as it can be checked without starting it."""

import io
import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest
from rich.console import Console
from supervisor.options import ServerOptions

from stack.access import Access
from stack.errors import StackError
from stack.interrupts import ENDING, undisturbed
from stack.ports import LOOPBACK, Ports, PortTakenError, choose_ports, free_port, is_free
from stack.postgres import Cluster
from stack.processes import end_all, processes_of
from stack.programs import OWNER_VARIABLE, Program, data_programs, product_environment, product_programs
from stack.readiness import culprits_of, explain
from stack.redis_server import RedisServer, redis_executable
from stack.results import ReportFacts, ScanRow, Summary, worker_ms
from stack.settings import StackSettings, StackSettingsError
from stack.slices import expected_predictions, find_slices, in_requests, picture_names
from stack.state import LONGEST_SOCKET_PATH, Secrets, StateFolder
from stack.supervisor import ProcessState, render_config

PORTS = Ports(api=5000, flower=5555, postgres=6001, redis=6002)


def ignore(_: str) -> None:
    pass


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def short_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose path is short enough for sockets, unlike pytest's; also the place of temporary files."""
    with tempfile.TemporaryDirectory(prefix="bt-") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


@pytest.fixture
def state(short_path: Path) -> StateFolder:
    folder = StateFolder(short_path / "state")
    folder.create()
    return folder


def programs_of(state: StateFolder, secrets: Secrets) -> list[Program]:
    postgres = Cluster(state.root / "postgres", PORTS.postgres, secrets.postgres_password)
    redis = RedisServer(state.root / "redis", PORTS.redis, secrets.redis_password)
    return [*data_programs(postgres, redis), *product_programs(state, secrets, PORTS)]


# Ports


def test_a_port_in_use_is_not_free(taken_port: int) -> None:
    assert not is_free(taken_port)
    assert is_free(free_port())


def test_ports_that_were_asked_for_are_taken_and_all_differ() -> None:
    api, flower = free_port(), free_port()
    ports = choose_ports(api, flower, None, ignore)
    assert (ports.api, ports.flower) == (api, flower)
    assert len(set(astuple(ports))) == 4


def test_a_taken_port_that_was_asked_for_is_an_error_that_names_the_variable(taken_port: int) -> None:
    with pytest.raises(PortTakenError, match=rf"{taken_port}.*FLOWER_PORT"):
        choose_ports(free_port(), taken_port, None, ignore)


def test_one_port_cannot_serve_both_the_api_and_flower() -> None:
    port = free_port()
    with pytest.raises(PortTakenError, match="FLOWER_PORT"):
        choose_ports(port, port, None, ignore)


def test_a_taken_default_port_gives_way_to_a_free_one_and_says_so(
    taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.ports.DEFAULT_API_PORT", taken_port)  # the real default may be in use here
    said: list[str] = []
    ports = choose_ports(None, free_port(), None, said.append)
    assert ports.api != taken_port
    assert str(taken_port) in said[0]
    assert str(ports.api) in said[0]


def test_postgres_and_redis_keep_their_ports_unless_these_are_taken(taken_port: int) -> None:
    kept = free_port()
    ports = choose_ports(free_port(), free_port(), Ports(1, 2, postgres=kept, redis=taken_port), ignore)
    assert ports.postgres == kept
    assert ports.redis != taken_port


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "5000.0", "\u0665\u0660"])
def test_a_wrong_port_variable_is_refused_by_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", text)
    with pytest.raises(StackSettingsError, match="PORT"):
        StackSettings.from_environment()


def test_the_stacks_own_variables_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PORT": "5001", "FLOWER_PORT": "", "SCANS": "some/folder", "BATCH_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    settings = StackSettings.from_environment()
    assert (settings.port, settings.flower_port, settings.scans) == (5001, None, Path("some/folder"))
    assert settings.environment["BATCH_SIZE"] == "4"
    assert not {"PORT", "FLOWER_PORT", "SCANS"} & settings.environment.keys()


# State folder


def test_secrets_are_made_once_and_for_the_owner_only(state: StateFolder) -> None:
    secrets = state.load_secrets()
    assert state.load_secrets() == secrets
    assert len(set(astuple(secrets))) == len(astuple(secrets))
    assert min(len(value) for value in astuple(secrets)) >= 20
    assert stat.S_IMODE((state.root / "secrets.json").stat().st_mode) == 0o600


def test_secrets_do_not_show_when_they_are_printed(state: StateFolder) -> None:
    secrets = state.load_secrets()
    assert not any(value in repr(secrets) for value in astuple(secrets))


def test_others_cannot_list_the_state_folder_nor_read_logs_and_pictures(state: StateFolder) -> None:
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o711
    for name in ("logs", "images", "reports"):
        assert stat.S_IMODE((state.root / name).stat().st_mode) == 0o700


def test_ports_are_remembered(state: StateFolder) -> None:
    assert state.load_ports() is None
    state.save_ports(PORTS)
    assert state.load_ports() == PORTS


def test_the_control_socket_lies_in_the_state_folder_if_its_path_is_short(state: StateFolder) -> None:
    assert state.supervisor_socket.parent == state.root


def test_the_control_socket_of_a_deep_folder_lies_in_a_private_one(short_path: Path) -> None:
    deep = StateFolder(short_path / ("d" * 60) / ("e" * 60))
    deep.create()
    folder = deep.supervisor_socket.parent
    assert len(str(deep.supervisor_socket)) <= LONGEST_SOCKET_PATH
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(StackError, match="open to others"):
        deep.create()


def test_two_commands_cannot_change_a_stack_at_once(state: StateFolder) -> None:
    with state.locked(), pytest.raises(StackError, match="another command"), state.locked():
        pass
    with state.locked():
        pass  # free again


# Programs and the supervisor's configuration


def test_the_supervisor_reads_the_configuration_as_it_was_meant(short_path: Path) -> None:
    state = StateFolder(short_path / "100% my state")
    state.create()
    programs = programs_of(state, Secrets())
    state.supervisor_config.write_text(render_config(state, "password", programs))
    options = ServerOptions()
    options.realize(["-c", str(state.supervisor_config)])
    groups = {group.name: group for group in options.process_group_configs}
    assert groups["data"].priority < groups["product"].priority
    read = {config.name: config for group in groups.values() for config in group.process_configs}
    assert set(read) == {"postgres", "redis", "api", "scan-worker", "report-worker", "beat", "flower"}
    for program in programs:
        config = read[program.role]
        assert config.get_path() is not None
        assert tuple(shlex.split(config.command)) == program.argv
        assert config.autostart == (program.group == "data")
        assert config.autorestart
        assert config.killasgroup
        assert config.stdout_logfile == str(state.logs / f"{program.role}.log")
        assert {**(config.environment or {})} == dict(program.environment)
        assert config.stopwaitsecs == (90 if "worker" in program.role else 30)


def test_worker_children_are_left_to_finish_their_batch(state: StateFolder) -> None:
    stopped_whole = {program.role: program.stop_children_too for program in programs_of(state, Secrets())}
    assert not stopped_whole["scan-worker"]
    assert not stopped_whole["report-worker"]


def test_no_secret_stands_on_a_command_line(state: StateFolder) -> None:
    secrets = Secrets()
    for program in programs_of(state, secrets):
        assert not any(secret in " ".join(program.argv) for secret in astuple(secrets))


def test_every_server_listens_on_the_loopback_address_only(state: StateFolder) -> None:
    commands = {program.role: " ".join(program.argv) for program in programs_of(state, Secrets())}
    assert "listen_addresses=127.0.0.1" in commands["postgres"]
    assert "--bind 127.0.0.1:5000" in commands["api"]
    assert "--address=127.0.0.1" in commands["flower"]
    assert "bind 127.0.0.1\n" in RedisServer(state.root, 1).configuration()


def test_processes_learn_where_things_are_from_variables_only(state: StateFolder) -> None:
    secrets = Secrets()
    postgres, redis = Cluster(state.root, 6001, "one"), RedisServer(state.root, 6002, "two")
    environment = product_environment(
        {"DATABASE_URL": "other", "HOME": "/h"}, state, secrets, postgres, redis
    )
    assert environment["DATABASE_URL"] == "postgresql://pipeline:one@127.0.0.1:6001/pipeline"
    assert environment["REDIS_URL"] == "redis://:two@127.0.0.1:6002/0"
    assert environment["SECRET_KEY"] == secrets.secret_key
    assert environment["HOME"] == "/h"
    assert environment[OWNER_VARIABLE] == str(state.root)


def test_up_prints_a_name_and_a_value_on_each_line() -> None:
    secrets = Secrets()
    lines = Access.of(PORTS, secrets).lines().splitlines()
    assert lines[:4] == [
        "url: http://127.0.0.1:5000",
        "username: admin",
        f"password: {secrets.admin_password}",
        "flower: http://127.0.0.1:5555",
    ]
    assert sum(line.startswith(("username:", "password:")) for line in lines) == 2


def test_a_system_redis_that_is_too_old_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "redis-server"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for version, is_used in {"6.0.16": False, "6.2.0": True, "8.0.1": True}.items():
        system.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=jemalloc'\n")
        system.chmod(0o755)
        assert (redis_executable() == str(system)) is is_used


# Readiness


def running(*roles: str) -> list[ProcessState]:
    return [ProcessState(role, "product", 1, "RUNNING") for role in roles]


def test_a_failing_check_leads_to_the_log_of_the_process_behind_it() -> None:
    assert culprits_of(running("api", "scan-worker"), ["scan_worker", "broker"]) == ["scan-worker", "redis"]


def test_a_process_that_does_not_run_is_the_culprit_whatever_the_checks_say() -> None:
    crashed = ProcessState("api", "product", 0, "BACKOFF")
    assert culprits_of([*running("redis"), crashed], ["api"]) == ["api"]


def test_the_explanation_shows_an_error_that_the_end_of_the_log_has_lost(tmp_path: Path) -> None:
    lines = ['{"level": "critical", "event": "no model"}', *(f"chatter {number}" for number in range(50))]
    (tmp_path / "scan-worker.log").write_text("\n".join(lines))
    text = explain(running("scan-worker"), ["scan_worker"], tmp_path)
    assert "scan_worker is down" in text
    assert "no model" in text
    assert "chatter 49" in text
    assert "chatter 10" not in text


# Processes


def test_processes_of_a_stack_are_found_and_ended_even_if_they_ignore_the_request(tmp_path: Path) -> None:
    stubborn = (
        "import signal, sys, time; signal.signal(15, signal.SIG_IGN); print('x', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, OWNER_VARIABLE: str(tmp_path)}
    argv = [sys.executable, "-c", stubborn]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert [found.pid for found in processes_of(tmp_path, tmp_path / "data")] == [process.pid]
        assert processes_of(tmp_path / "other", tmp_path / "data") == []
        assert end_all(tmp_path, tmp_path / "data", patience=0.3) == []
        assert process.wait(5) == -signal.SIGKILL


def test_cleaning_up_is_not_disturbed_by_an_impatient_user() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    with undisturbed():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in ENDING] == before


# The demo's pictures


def test_slices_are_found_at_any_depth_in_a_fixed_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.JPG", "a.png", "c.jpeg", "notes.txt", "b/1.png"):
        (tmp_path / name).write_bytes(b"x")
    found = find_slices(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "a.png",
        "b/1.png",
        "b/2.JPG",
        "c.jpeg",
    ]


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_slices_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StackError, match=name):
        find_slices(tmp_path / name)


def test_uploads_are_cut_by_number_and_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.slices.MOST_BYTES", 100)  # megabytes of files would show no more
    monkeypatch.setattr("stack.slices.MOST_FILES", 3)
    files = []
    for number, size in enumerate([10, 10, 10, 10, 60, 50, 500, 1]):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(b"x" * size)
    requests = list(in_requests(files))
    assert [len(request) for request in requests] == [3, 2, 1, 1, 1]
    assert [file for request in requests for file in request] == files


def test_overlays_of_equal_names_do_not_overwrite_each_other(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.png", "a.jpg", "x/a.png", "x/b.png", "x-a.png")]
    names = picture_names(files, tmp_path)
    assert names[files[0]] == "a.png"
    assert names[files[3]] == "b.png"
    assert len(set(names.values())) == len(files)


def test_expectations_come_from_a_manifest_that_states_them(tmp_path: Path) -> None:
    assert expected_predictions(tmp_path) == {}
    (tmp_path / "manifest.csv").write_text("file,expected,kind\na.png,Tumor,ring\nb.png,,\n")
    assert expected_predictions(tmp_path) == {"a.png": "Tumor"}
    (tmp_path / "manifest.csv").write_text("file,class\na.png,glioma\n")
    assert expected_predictions(tmp_path) == {}


# The demo's results

DONE = ScanRow(
    "a.png", "succeeded", "Tumor", 0.9, 0.9, "glioma", ms=12.5, overlay="out/a.png", expected="Tumor"
)
FAILED = ScanRow("[b].png", "failed", error="the picture is cut off", expected="No Tumor")
REJECTED = ScanRow("cat.png", "rejected", review="rejected", error="no brain MRI")
UNCLEAR = ScanRow("c.png", "succeeded", None, 0.5, review="needs_review", overlay="out/c.png")
REPORT = ReportFacts("R1", "out/report.pdf", 3, 1000)


@pytest.mark.parametrize(
    ("summary", "ok"),
    [
        (Summary((DONE,), REPORT, 1, synthetic=True), True),
        (Summary((DONE, FAILED), REPORT, 1, synthetic=True), False),
        (Summary((DONE,), None, 1, synthetic=True), False),
        (Summary((), REPORT, 1, synthetic=True), False),
        (Summary((DONE, REJECTED, UNCLEAR), REPORT, 1, synthetic=True), True),
        (Summary((REJECTED,), None, 1, synthetic=True), True),
        (Summary((DONE,), REPORT, 1, synthetic=True, error="stopped"), False),
    ],
)
def test_a_demo_is_ok_only_if_every_scan_and_the_report_worked(summary: Summary, ok: bool) -> None:
    assert summary.ok is ok


def test_the_summary_file_holds_numbers_and_says_why_a_scan_failed(tmp_path: Path) -> None:
    Summary((DONE, FAILED), REPORT, 12.345, synthetic=False).write(tmp_path / "summary.json")
    body = json.loads((tmp_path / "summary.json").read_text())
    assert body["ok"] is False
    assert body["seconds"] == 12.3
    assert body["synthetic"] is False
    assert body["report"] == {"report_id": "R1", "path": "out/report.pdf", "pages": 3, "bytes": 1000}
    done, failed = body["scans"]
    assert (done["probability"], done["ms"], done["overlay"]) == (0.9, 12.5, "out/a.png")
    assert "error" not in done
    assert (failed["prediction"], failed["error"]) == (None, "the picture is cut off")


def test_the_table_shows_expectations_only_where_there_are_any() -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(Summary((DONE, FAILED, REJECTED, UNCLEAR), None, 1, synthetic=True).table())
    text = console.export_text()
    assert "expected" in text
    assert "[b].png" in text
    assert "the picture is cut off" in text
    assert "Tumor (glioma)" in text
    assert "rejected: no brain MRI" in text
    assert "needs review" in text
    plain = Summary((ScanRow("a.png", "succeeded", "No Tumor", 0.1),), None, 1, synthetic=False).table()
    assert [column.header for column in plain.columns] == ["file", "prediction", "probability", "ms"]


def test_the_time_of_a_job_is_counted_in_the_worker() -> None:
    job = {"started_at": "2026-01-01T00:00:00.250Z", "finished_at": "2026-01-01T00:00:01.000Z"}
    assert worker_ms(job) == 750
    assert worker_ms({"started_at": None, "finished_at": None}) is None
