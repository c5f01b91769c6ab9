"""Names, addresses, passwords and tokens stay out of logs, the broker and error bodies."""

import json
import re
from pathlib import Path

import httpx
from redis import Redis

from shared import accounts
from shared.services import build_services
from shared.settings import Settings
from stack.redis_server import RedisServer
from tests.fakes import picture
from tests.integration.conftest import ADMIN_PASSWORD
from tests.servers.gunicorn import running_api

MARKERS = (
    "Marvin Markerman",
    "marvin.markerman@example.org",
    "Marker Lane 7",
    "marked password",
    "marker.png",
)


def redis_content(server: RedisServer) -> bytes:
    """Everything that the broker holds, as one heap of bytes."""
    client = Redis.from_url(server.url)
    kept = []
    for key in client.keys("*"):
        kind = client.type(key)
        if kind == b"list":
            kept += [key, *client.lrange(key, 0, -1)]
        elif kind == b"hash":
            kept += [key, *(part for pair in client.hgetall(key).items() for part in pair)]
        else:
            kept += [key, client.dump(key) or b""]
    return b"\n".join(kept)


def test_nothing_that_names_or_opens_leaks(
    settings: Settings, sessions: object, redis_server: RedisServer, tmp_path: Path
) -> None:
    del sessions  # an empty database
    built = build_services(settings)
    with built.sessions.begin() as session:
        accounts.add_admin(session, "admin", "admin@example.org", ADMIN_PASSWORD)
    built.sessions.kw["bind"].dispose()
    Redis.from_url(redis_server.url).flushall()
    log = tmp_path / "api.log"
    with (
        running_api(settings, log, LOG_LEVEL="DEBUG") as url,
        httpx.Client(base_url=url, trust_env=False) as http,
    ):
        secrets, bodies = _work(http)
    broker = redis_content(redis_server).decode(errors="replace")
    assert "scans.interactive" in broker  # the hints are there, so this looks at the right place
    written = log.read_text()
    assert '"event": "request"' in written
    for where, text in (("the log", written), ("the broker", broker), ("an error body", "\n".join(bodies))):
        found = [marker for marker in (*MARKERS, *secrets) if marker in text]
        assert found == [], f"in {where}"
    lines = written.splitlines()
    ours = [json.loads(line) for line in lines if line.startswith("{")]
    forged = [record for record in ours if record.get("event") == "forged"]
    assert forged == [], "a value must not begin a line of its own"
    assert not re.search(r"Traceback|SELECT |INSERT |/work|site-packages", "\n".join(bodies))


def _work(http: httpx.Client) -> tuple[list[str], list[str]]:
    """Use the API as people do, mistakes included. Returns secrets that were shown, and bodies of errors."""
    errors = []

    def send(method: str, path: str, **content: object) -> httpx.Response:
        answer = http.request(method, path, **content)
        if answer.is_error:
            errors.append(answer.text)
        return answer

    send(
        "POST",
        "/api/admin/login",
        json={"username": "marvin.markerman@example.org", "password": "marked password"},
    )
    send("POST", "/api/admin/login", json={"username": "admin", "password": "marked password"})
    token = send("POST", "/api/admin/login", json={"username": "admin", "password": ADMIN_PASSWORD}).json()[
        "token"
    ]
    http.headers["Authorization"] = f"Bearer {token}"
    body = {"name": MARKERS[0], "email": MARKERS[1], "address": MARKERS[2]}
    made = send("POST", "/api/admin/patients", json=body).json()["data"]
    send("POST", "/api/admin/patients", json=body)  # taken
    send("POST", "/api/admin/patients", json={**body, "age": 999})
    send("POST", "/api/admin/patients", content=b'{"name": "Marvin Markerman", ')
    send("GET", "/api/admin/patients/999?name=Marvin Markerman")
    send("GET", "/api/report/file/Marvin Markerman.pdf")
    send("GET", '/api/jobs/%0A{"event": "forged"}')
    send("GET", "/api/account", headers={"X-Request-ID": 'x\\n{"event": "forged"}'})
    send("POST", "/api/admin/login", json={"username": 'x\n{"event": "forged"}', "password": "x"})
    send("POST", "/api/account/password", json={"current_password": "marked password", "new_password": "x"})
    form = {"patient_id": str(made["id"])}
    for content in (picture(), b"no picture"):
        send("POST", "/api/admin/scans/upload", data=form, files={"files": ("marker.png", content)})
    errors[:] = [error for error in errors if '"results"' not in error]  # names the file to its own sender
    http.headers["Authorization"] = f"Bearer {token}x"
    assert send("GET", "/api/account").status_code == 401
    return [ADMIN_PASSWORD, token, made["password"], made["username"]], errors
