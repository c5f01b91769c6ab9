"""`python -m bench.bulk`: thousands of small pictures at once, while others ask for their jobs.

A stack of its own with the load-test engine takes pictures from the batch client, several requests at a time.
Meanwhile pollers ask for random jobs. Counted afterwards, in the database: was any picture lost, or taken
twice? Measured: images per second, how long polls took, and whether the API's memory grew; beside them whose
the processor was, since all of it means little while others work on the same machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.cpu import CpuShare
from bench.pictures import picture_bytes
from bench.polling import Pollers
from bench.watching import Watch
from stack.client import ApiClient
from stack.demo import temporary_stack
from stack.lifecycle import Stack
from stack.settings import StackSettings

PATIENT = {"name": "Bulk Patient", "email": "bulk.patient@example.org"}
# Limits are not what is measured.
ENVIRONMENT = {
    "ENGINE": "load-test",
    "REQUESTS_PER_MINUTE": "1000000",
    "ANONYMOUS_REQUESTS_PER_MINUTE": "1000000",
}
TICK_S = 0.5
STALL_S = 180
IDLE_S = 5  # of polls with nothing else to do: what this machine takes for them anyway


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the numbers as JSON. Exit status 1 if a picture was lost or taken twice."""
    options = _parser().parse_args(arguments)
    settings = StackSettings.from_environment()
    settings = replace(settings, environment={**settings.environment, **ENVIRONMENT})
    with tempfile.TemporaryDirectory(prefix="bulk-") as name:
        pictures = Path(name) / "pictures"
        make_pictures(pictures, options.count, options.side)
        with temporary_stack(settings, options.logs, _say) as stack:
            numbers = measure(stack, pictures, Path(name), options)
    line = json.dumps(numbers, indent=2)
    sys.stdout.write(line + "\n")
    if options.out:
        options.out.write_text(line + "\n")
    return 0 if numbers["lost"] == numbers["duplicates"] == 0 else 1


def make_pictures(folder: Path, count: int, side: int) -> None:
    """Grey noise, each picture different and the same in every run."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06}.png").write_bytes(picture_bytes(number, side))


def measure(stack: Stack, pictures: Path, home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Send the pictures, poll meanwhile, wait for the end, count."""
    access = stack.up()
    pids = {process["role"]: process["pid"] for process in stack.status()["processes"]}
    watch = Watch(stack.environment()["DATABASE_URL"], pids["api"])
    load_before = os.getloadavg()[0]
    with ApiClient.signed_in(access.url, access.username, access.password) as client:
        patient_id = client.create_patient(PATIENT)
        token = client.http.headers["Authorization"]
    folders = {"XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": str(home / "state")}
    environment = {**os.environ, **folders, "BRAIN_SCANS_PASSWORD": access.password}
    _client(environment, "login", access.url, "--username", access.username)
    watch.look()
    cpu = CpuShare(pid for pid in pids.values() if pid)
    _say(f"Sending {options.count} pictures …")
    began = time.monotonic()
    with Pollers(access.url, token, watch.ids, options.pollers, options.poll_pause) as pollers:
        submit = ("submit", str(pictures), "--patient", str(patient_id), "--parallel", str(options.parallel))
        submitting = _Submission(environment, *submit)
        while submitting.is_alive():
            watch.look()
            time.sleep(TICK_S)
        sent_s = time.monotonic() - began
        sent_polls = pollers.count()
        submitted = submitting.outcome()
        wait_for_end(watch, submitted["accepted"])
        seconds = time.monotonic() - began
        all_polls = pollers.count()
        cpu_seconds = cpu.seconds()
        time.sleep(IDLE_S)
    _client(environment, "results", "--csv", str(home / "results.csv"))
    tally = watch.tally()
    watch.close()
    memory = watch.memory_mib
    return {
        "pictures": options.count,
        "accepted": submitted["accepted"],
        "refused": len(submitted["refused"]),
        "finished": tally["finished"],
        "distinct_scans": tally["distinct"],
        "duplicates": tally["scans"] - tally["distinct"],
        "lost": options.count - tally["finished_distinct"],
        "rows_in_results_csv": _lines(home / "results.csv") - 1,
        "upload_seconds": round(sent_s, 1),
        "seconds": round(seconds, 1),
        "accepted_per_s": round(submitted["accepted"] / sent_s, 1),
        "images_per_s": round(tally["finished"] / seconds, 1),
        "polls_while_uploading": pollers.summary(0, sent_polls),
        "polls": pollers.summary(0, all_polls),
        "polls_afterwards": pollers.summary(all_polls),
        "api_memory_mib": {
            "start": memory[0],
            "middle": memory[len(memory) // 2],
            "end": memory[-1],
            "most": max(memory),
        },
        "pollers": options.pollers,
        "poll_pause_s": options.poll_pause,
        "parallel": options.parallel,
        "picture_px": options.side,
        "cores": os.cpu_count(),
        "cpu_seconds": cpu_seconds,
        "load_before": round(load_before, 2),
    }


def wait_for_end(watch: Watch, count: int) -> None:
    """Until `count` jobs have ended. Raises `RuntimeError` if none ends for too long."""
    ended, last_news = -1, time.monotonic()
    while (now := watch.look()) < count:
        if now > ended:
            ended, last_news = now, time.monotonic()
        elif time.monotonic() - last_news > STALL_S:
            raise RuntimeError(f"{count - now} jobs have not ended, none did in {STALL_S} s")
        time.sleep(TICK_S)


class _Submission:
    """The client at work in a process of its own."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self._result: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._run, args=(environment, arguments))
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def outcome(self) -> dict[str, Any]:
        self._thread.join()
        if not self._result:
            raise RuntimeError("the client failed; its message stands above")
        return self._result

    def _run(self, environment: dict[str, str], arguments: Sequence[str]) -> None:
        self._result = _client(environment, *arguments)


def _client(environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    """Run the batch client. Its messages go to standard error; an empty result means that it failed."""
    command = [sys.executable, "-m", "brain_scans", *arguments, "--json"]
    done = subprocess.run(  # noqa: S603 - our own program and arguments, no shell
        command, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    return dict(json.loads(done.stdout)) if done.stdout else {}


def _lines(file: Path) -> int:
    with file.open(encoding="utf-8") as lines:
        return sum(1 for _ in lines)


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.bulk", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="pictures to send")
    parser.add_argument("--side", type=int, default=64, help="their width and height in pixels")
    parser.add_argument("--parallel", type=int, default=4, help="uploads at once")
    parser.add_argument("--pollers", type=int, default=8, help="clients that ask for jobs meanwhile")
    parser.add_argument("--poll-pause", type=float, default=0.1, help="seconds between two polls of a client")
    parser.add_argument("--out", type=Path, help="file for the numbers, besides standard output")
    parser.add_argument(
        "--logs", type=Path, default=Path("demo-output"), help="where logs go after a failure"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
