"""For processes under libfaketime, whose version 0.9.10 refuses the call that is Python's sleep (EINVAL)."""

import select
import time


def sleep(seconds: float) -> None:
    """Wait, without that call."""
    select.select([], [], [], seconds)


time.sleep = sleep
