"""`python -m worker.alive`: has the process that computes on this host written its heartbeat row lately?

Not `celery inspect ping`: the parent answers pong while its child dies at every start. `/api/ready` knows
only whether some worker of each role is alive; this finds the one that is not, among many. A Postgres that
does not answer counts as not alive. PyTorch is not imported: a check takes less than a second.
"""

import socket
import sys

from sqlalchemy.exc import SQLAlchemyError

from shared import heartbeat
from shared.database import make_engine, make_sessions
from shared.settings import load_settings


def main() -> int:
    """The exit status: 0 for a fresh heartbeat."""
    engine = make_engine(load_settings(), "alive")
    try:
        with make_sessions(engine)() as session:
            return 0 if heartbeat.is_alive(session, socket.gethostname()) else 1
    except SQLAlchemyError as error:
        sys.stderr.write(f"{type(error).__name__}\n")
        return 1
    finally:
        engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
