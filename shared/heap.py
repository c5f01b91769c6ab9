"""How this process' memory goes back to the system: not with every picture.

By default glibc gives the end of its heap back as soon as a few megabytes of it are free, and the next
picture takes the same pages anew, each cleared by the kernel: 300 to 400 page faults for a scan in the API,
and as many in a worker.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>
KEPT_BYTES = 16 * 2**20  # at the end of each of the few heaps that threads share
LARGEST_ON_HEAP = 4 * 2**20  # what is larger is mapped for itself, and goes back when it is freed


def keep_freed_memory() -> None:
    """Keep what pictures of the usual size take. Does nothing where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, LARGEST_ON_HEAP)
