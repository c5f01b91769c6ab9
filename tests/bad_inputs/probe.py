"""Run as a process: decode every case under a limit on memory, and print what each took as a line of JSON."""

import gc
import json
import resource
import sys
import time
from pathlib import Path

from shared.errors import FileUploadError
from shared.images import read_grey
from tests.bad_inputs.case import Case
from tests.bad_inputs.corpus import cases, largest

MEGABYTE = 1_000_000
STATUS = Path("/proc/self/status")


def main(most_megabytes: int) -> None:
    for case in (*largest(), *cases()):
        data = case.data()
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far, which making the case left
        _limit(_kilobytes("VmSize") * 1024 + most_megabytes * MEGABYTE)
        print(json.dumps(_measured(case, data)))  # noqa: T201
        _limit(resource.RLIM_INFINITY)


def _measured(case: Case, data: bytes) -> dict[str, object]:
    before, began = _kilobytes("VmRSS"), time.process_time()
    try:
        outcome: object = list(read_grey(data).size)
    except FileUploadError as error:
        outcome = str(error)
    seconds = time.process_time() - began
    megabytes = (_kilobytes("VmHWM") - before) * 1024 / MEGABYTE
    return {"name": case.name, "outcome": outcome, "seconds": seconds, "megabytes": megabytes}


def _limit(most: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def _kilobytes(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1])


if __name__ == "__main__":
    main(int(sys.argv[1]))
