"""Flower's options in a container: `celery -A worker.app flower --conf=worker/flower_options.py`.

Flower runs this file and takes the names that are its options. The login comes from a file, because command
lines and environments are shown in too many places. Without one Flower would let everybody in, so it stops.
"""

import sys
from pathlib import Path

_LOGIN = Path("/run/secrets/flower_basic_auth")
_login = _LOGIN.read_text(encoding="utf-8").strip() if _LOGIN.is_file() else ""
if ":" not in _login:
    sys.exit(f"{_LOGIN} must hold user:password, the login of Flower.")

port = 5555
url_prefix = "flower"
basic_auth = [_login]
read_only = True  # it is reached from outside: nobody stops workers or runs tasks through it
persistent = True
db = "/data/flower/state"
state_save_interval = 30_000  # ms
max_tasks = 5000  # that it remembers, 5 KB each
purge_offline_workers = 3600  # s; each container's name is new
tasks_columns = "name,args,state,received,started,runtime,worker,uuid"
