"""Memory that usual pictures take is used again; what many or large ones took goes back."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from shared.heap import KEPT_BYTES

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import resource, sys, threading
from shared.heap import keep_freed_memory

def in_thread(work, *arguments):
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    thread.join()

def make(size, together, times):
    for _ in range(times):
        pictures = [b"1" * size for _ in range(together)]
        del pictures

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

if sys.argv[1] == "keep":
    keep_freed_memory()
in_thread(make, 2**20, 8, 1)
before = faults()
in_thread(make, 2**20, 8, 100)
taken, began = faults() - before, resident()
in_thread(make, 2**20, 200, 1)
in_thread(make, 2**25, 6, 1)
print(taken, resident() - began)
"""


def pages(word: str) -> tuple[int, int]:
    """Page faults of 100 times eight pictures of 1 MiB; bytes that stay after 200 of them and large ones."""
    run = [sys.executable, "-c", PROGRAM, word]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    taken, kept = done.stdout.split()
    return int(taken), int(kept)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_pages_are_used_again_up_to_a_bound() -> None:
    usual, kept = pages("as it is"), pages("keep")
    assert kept[0] < usual[0] / 10
    assert kept[1] < 2 * KEPT_BYTES
