"""Text that means something elsewhere, in every field, query parameter and path: it stays text."""

import itertools
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from shared.models import Admin, Base, Batch, Job, Patient, Report, Scan
from shared.services import Services
from tests.fakes import picture
from tests.integration.sending import as_, part, send
from tests.integration.test_access import World, url_of
from tests.security.attacks import JSON_BOMBS, LINE_ENDS, SQL, TRAVERSALS

FINE = range(200, 500)
KEPT: tuple[type[Base], ...] = (Admin, Patient, Scan, Job, Report, Batch)
NAMES = ("/api/report/file/{}", "/api/report/download-by-filename/{}", "/api/report/download/{}")
NAMED = (*NAMES, "/api/files/images/{}", "/api/files/reports/{}", "/api/jobs/{}", "/api/batches/{}")
JSON = "application/json"


def counts(sessions: sessionmaker[Session]) -> dict[str, int]:
    with sessions() as session:
        return {
            table.__tablename__: session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in KEPT
        }


@dataclass(frozen=True)
class Operation:
    """Something that the API says it can do. `fields` are the names in its JSON body, if it takes one."""

    method: str
    path: str
    parameters: list[dict[str, Any]]
    fields: list[str]


def operations(client: FlaskClient) -> list[Operation]:
    described = client.get("/api/openapi.json").json
    found = []
    for path, item in described["paths"].items():
        for method in item.keys() & {"get", "post", "put", "delete"}:
            operation, fields = item[method], {}
            content = operation.get("requestBody", {}).get("content", {})
            if JSON in content:
                name = content[JSON]["schema"]["$ref"].rsplit("/", 1)[-1]
                fields = described["components"]["schemas"][name].get("properties", {})
            found.append(Operation(method.upper(), path, operation.get("parameters", []), list(fields)))
    return found


def address(path: str, world: World) -> str:
    rule = path.replace("{patient_id}", "<int:patient_id>").replace("{scan_id}", "<int:scan_id>")
    return url_of(rule.replace("{", "<").replace("}", ">"), world)


def test_every_route_that_takes_a_name_finds_only_names(world: World, admin: FlaskClient) -> None:
    """46 ways out of a folder, on each route: none is a file, an error of ours, or a redirect."""
    wrong = []
    for route in NAMED:
        for attack in TRAVERSALS:
            answer = admin.get(route.format(attack))
            if answer.status_code not in (400, 404) or "root:" in answer.text:
                wrong.append(f"{route} {attack[:40]}: {answer.status_code}")
    assert wrong == []
    assert admin.get(NAMES[0].format(world.filename)).status_code == 200


def test_sql_in_queries_and_paths_changes_and_finds_nothing(
    world: World, admin: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    before, wrong = counts(sessions), []
    whole = len(admin.get("/api/admin/scans").json["data"])
    for asked in operations(admin):
        if asked.method != "GET" or asked.path == "/api/ready":
            continue
        for parameter in asked.parameters:
            for attack in SQL:
                url, query = address(asked.path, world), {}
                if parameter["in"] == "path":
                    template = address(asked.path.replace(f"{{{parameter['name']}}}", "@"), world)
                    url = template.replace("@", quote(attack, safe=""))
                elif parameter["in"] == "query":
                    query = {parameter["name"]: attack}
                answer = admin.get(url, query_string=query)
                found = answer.json and answer.json.get("data") if answer.mimetype == JSON else None
                if answer.status_code not in FINE or (parameter["in"] == "path" and found):
                    wrong.append(f"{asked.path} {parameter['name']}={attack}: {answer.status_code}")
    assert wrong == []
    assert counts(sessions) == before
    assert len(admin.get("/api/admin/scans").json["data"]) == whole


def test_sql_in_bodies_is_refused_or_kept_letter_by_letter(
    world: World, admin: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    before, made, wrong = counts(sessions), 0, []
    fields = [
        (asked.method, address(asked.path, world), field)
        for asked in operations(admin)
        for field in asked.fields
        if not asked.path.endswith("/logout") and (asked.path, field) != ("/api/batches", "name")
    ]
    for number, attack in enumerate(SQL):
        body = {"name": attack, "email": f"sql{number}@example.org", "address": attack}
        answer = admin.post("/api/admin/patients", json=body)
        assert answer.status_code == 201
        made += 1
        shown = admin.get(f"/api/admin/patients/{answer.json['data']['id']}").json["data"]
        assert (shown["name"], shown["address"]) == (attack, attack)
        for method, url, field in fields:
            sent = admin.open(url, method=method, json={field: attack})
            if sent.status_code not in range(400, 430):
                wrong.append(f"{method} {url} {field}={attack}: {sent.status_code}")
        file = attack.replace('"', "%22") + ".png"  # as browsers write a quote
        kept = send(admin, world.patient, (file, picture()), headers={"Idempotency-Key": attack})
        assert kept.status_code == 202, kept.text
    assert wrong == []
    after = counts(sessions)
    assert after["patients"] == before["patients"] + made
    assert after["scans"] == before["scans"] + len(SQL)
    assert (after["admins"], after["reports"]) == (before["admins"], before["reports"])


def test_no_json_makes_a_route_fail(
    world: World, admin: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    before, wrong, tried = counts(sessions), [], 0
    for asked in operations(admin):
        if not asked.fields or asked.path.endswith("/logout"):
            continue
        for bomb in JSON_BOMBS:
            tried += 1
            url = address(asked.path, world)
            answer = admin.open(url, method=asked.method, data=bomb, content_type=JSON)
            if answer.status_code not in FINE:
                wrong.append(f"{asked.method} {url} {bomb[:40]!r}: {answer.status_code}")
    assert wrong == []
    assert tried > 6 * len(JSON_BOMBS)
    after = counts(sessions)
    assert {**after, "batches": 0} == {**before, "batches": 0}  # a batch needs no field


def test_a_body_of_another_type_is_no_failure(world: World, admin: FlaskClient) -> None:
    kinds = (JSON, "multipart/form-data", "multipart/form-data; boundary=x", "text/plain", "image/png", "x")
    bodies = (
        b"\x00\xff" * 500,
        b'{"ids": []}',
        b"--x\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--",
    )
    for asked, kind, body in itertools.product(operations(admin), kinds, bodies):
        if asked.method == "GET" or asked.path.endswith(("/logout", "/reset-password")):
            continue
        answer = admin.open(address(asked.path, world), method=asked.method, data=body, content_type=kind)
        assert answer.status_code in FINE, (asked.path, kind, body[:20])


def test_line_ends_reach_no_header(world: World, admin: FlaskClient) -> None:
    """File names, names of batches and reports: an answer's headers stay one line each."""
    for text in LINE_ENDS:
        answers = [
            send(admin, world.patient, (f"{text}.png", picture())),
            admin.post("/api/batches", json={"name": text}),
            admin.get("/api/report/file/" + text + ".pdf"),
            admin.get("/api/jobs", query_string={"limit": 1, "x": text}),
            admin.get("/api/admin/scans", query_string={text: text, "limit": 1}),
        ]
        for answer in answers:
            assert answer.status_code in FINE
            assert "X-Injected" not in answer.headers
            assert not [value for _, value in answer.headers if set("\r\n\v\x85\u2028") & set(value)]


def test_a_request_id_that_is_none_is_replaced(admin: FlaskClient) -> None:
    for value in ("a b", "x" * 65, "<script>", '"}{"event":"forged', "%0d%0aX: 1", "\xe9", "", "a,b"):
        answer = admin.get("/api/account", headers={"X-Request-ID": value})
        assert answer.headers["X-Request-ID"] != value
        assert answer.headers["X-Request-ID"].isalnum()


def test_a_preference_that_makes_no_sense_is_no_failure(
    admin: FlaskClient, world: World, services: Services
) -> None:
    client = as_(admin, services, max_wait_seconds=0.05)
    numbers = ("", "-1", "1e9", "NaN", "inf", "9" * 5000)
    for value in (*(f"wait={number}" for number in numbers), "x", ";;=,", "\xff"):
        seconds = value.removeprefix("wait=")
        answer = client.get(
            f"/api/jobs/{world.job}", headers={"Prefer": value}, query_string={"wait": seconds}
        )
        assert answer.status_code in (200, 400)
        made = client.post(
            "/api/report/generate", json={"patient_id": world.patient}, headers={"Prefer": value}
        )
        assert made.status_code == 202, value


def test_a_key_that_is_none_is_refused(admin: FlaskClient) -> None:
    for key in ("", "x" * 256, "\x7f", "\xa0", "a\tb"):
        answer = admin.post("/api/batches", json={}, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json["field"]) == (400, "Idempotency-Key")


def test_fields_that_only_we_set_cannot_be_set(
    world: World, admin: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    """Mass assignment, on every body: the rows are as if the extra fields had not been there."""
    more = {
        "id": 4711,
        "role": "admin",
        "username": "root",
        "password": "a chosen password",
        "password_hash": "x",
        "patient_id": "P4711",
        "job_id": world.job,
        "batch_id": world.batch,
        "status": "succeeded",
        "attempt": 99,
        "is_public": True,
        "created_at": "2000-01-01",
        "original_path": "/etc/passwd",
        "prediction": "Tumor",
        "kind": "mail",
        "run_after": "2099-01-01",
    }
    made = admin.post("/api/admin/patients", json={**more, "name": "M", "email": "m@example.org"}).json[
        "data"
    ]
    assert made["id"] != 4711
    assert (made["patient_id"], made["username"], made["password"]) != ("P4711", "root", "a chosen password")
    batch = admin.post("/api/batches", json={**more, "name": "mine"}).json
    assert batch["batch_id"] != world.batch
    form = {**{name: str(value) for name, value in more.items()}, "patient_id": str(world.patient)}
    sent = admin.post("/api/admin/scans/upload", data={**form, "files": [part("m.png", picture())]})
    assert sent.json["results"][0]["prediction"] is None
    changed = {**more, "name": "A", "email": "a@example.org"}
    assert admin.put(f"/api/admin/patients/{world.patient}", json=changed).status_code == 200
    with sessions() as session:
        job = session.execute(select(Job).order_by(Job.position.desc()).limit(1)).scalar_one()
        assert (str(job.status), job.attempt, job.is_public, str(job.kind)) == ("queued", 0, False, "scan")
        assert str(job.id) != world.job
        patient = session.get_one(Patient, world.patient)
        assert (patient.patient_id == "P4711", patient.username == "root") == (False, False)
        assert session.get(Patient, 4711) is None
