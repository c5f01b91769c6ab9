"""A ZIP of images with a manifest that says whose each is."""

import io
import struct
import zipfile
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from shared.models import AuditEvent, Scan
from shared.services import Services
from tests.fakes import RecordingQueue, picture
from tests.integration.sending import (
    NamedBytes,
    as_,
    new_batch,
    new_patient,
    part,
    pictures,
    rows_of,
    send,
    stored,
    zipped,
)
from worker.pipeline import ScanPipeline


@pytest.fixture
def batch_id(admin: FlaskClient) -> str:
    return new_batch(admin)


def manifest(*rows: tuple[str, object]) -> bytes:
    return "\n".join(["filename,patient_id", *(f"{name},{patient}" for name, patient in rows)]).encode()


def post(
    client: FlaskClient, batch_id: str, archive: bytes, table: bytes | None = None, query: str = ""
) -> TestResponse:
    form: dict[str, Any] = {"archive": part("scans.zip", archive)}
    if table is not None:
        form["manifest"] = part("manifest.csv", table)
    answer = client.post(f"/api/batches/{batch_id}/scans{query}", data=form)
    answer.request.environ["wsgi.input"].close()  # the test client leaves its file of a large body open
    return answer


def results_of(answer: TestResponse) -> dict[str, bool]:
    return {result["filename"]: result["success"] for result in answer.json["results"]}


def test_a_zip_brings_scans_of_several_patients(
    admin: FlaskClient, patient_id: int, batch_id: str, services: Services, pipeline: ScanPipeline
) -> None:
    other, _ = new_patient(services)
    table = manifest(("a.png", patient_id), ("sub/folder/b.jpg", other), ("c.png", patient_id))
    members = [
        ("manifest.csv", table),
        ("a.png", picture()),
        ("sub/", b""),
        ("sub/folder/b.jpg", picture(9, image_format="JPEG")),
        ("c.png", b"no picture"),
    ]
    answer = post(admin, batch_id, zipped(members))
    assert answer.status_code == 202
    assert results_of(answer) == {"a.png": True, "b.jpg": True, "c.png": False}
    assert pipeline.drain() == 2
    with services.sessions() as session:
        owners = session.execute(select(Scan.original_filename, Scan.patient_id).order_by(Scan.id)).all()
        trail = session.scalars(select(AuditEvent).where(AuditEvent.action == "scan.uploaded")).one()
    assert [tuple(row) for row in owners] == [("a.png", patient_id), ("b.jpg", other)]
    assert (trail.subject, trail.details["scans"]) == (f"batch:{batch_id}", 2)
    assert admin.get(f"/api/batches/{batch_id}").json["data"]["outcomes"]["tumor"] == 2


@pytest.mark.parametrize(
    "table",
    [
        "filename,patient_id\na.png,{0}\n",
        "\ufefffilename,patient_id\r\na.png,{0}\r\n",
        'Patient_ID , FILENAME,note\n {0} ,"a.png",ä\n\n',
        "filename,patient_id\na.png,000{0}\n",
    ],
)
@pytest.mark.parametrize("is_inside", [True, False])
def test_the_manifest_is_read_however_it_was_written_and_wherever_it_is(
    admin: FlaskClient, patient_id: int, batch_id: str, table: str, is_inside: bool
) -> None:
    content = table.format(patient_id).encode()
    members = [("a.png", picture())]
    if is_inside:
        answer = post(admin, batch_id, zipped([*members, ("manifest.csv", content)]))
    else:
        # What the ZIP holds beside it does not count then.
        answer = post(admin, batch_id, zipped([*members, ("manifest.csv", b"old")]), content)
    assert (answer.status_code, results_of(answer)) == (202, {"a.png": True})


def test_what_has_no_counterpart_is_refused_alone_and_a_dry_run_says_the_same(
    admin: FlaskClient, patient_id: int, batch_id: str, services: Services, queue: RecordingQueue
) -> None:
    table = manifest(
        ("good.png", patient_id),
        ("absent.png", patient_id),
        ("nobody.png", 999),
        ("word.png", "Ada"),
        ("huge-number.png", "0000000000199999999999999"),
        ("longest-number.png", "00000000001" + "9" * 5000),
        ("junk.png", patient_id),
        ("empty.png", patient_id),
    )
    names = ("good.png", "nobody.png", "word.png", "huge-number.png", "longest-number.png", "stray.png")
    archive = zipped([*((name, picture()) for name in names), ("junk.png", b"junk"), ("empty.png", b"")])
    tried = post(admin, batch_id, archive, table, "?dry_run=true")
    assert tried.status_code == 200
    assert (tried.json["dry_run"], tried.json["accepted"], tried.json["refused"]) == (True, 1, 8)
    assert (rows_of(services), stored(services), queue.sent) == ((0, 0), [], [])
    assert admin.get(f"/api/batches/{batch_id}").json["data"]["total"] == 0
    done = post(admin, batch_id, archive, table)
    assert done.status_code == 202

    def refusals(answer: TestResponse) -> list[tuple[str, str, str]]:
        results = answer.json["results"]
        return [(r["filename"], r["error"], r["code"]) for r in results if not r["success"]]

    assert refusals(done) == refusals(tried)
    assert len(refusals(done)) == 8
    assert {code for _, _, code in refusals(done)} == {"FILE_UPLOAD_ERROR"}
    assert (rows_of(services), len(stored(services))) == ((1, 1), 1)


def test_a_dry_run_of_files_keeps_nothing(
    admin: FlaskClient, patient_id: int, batch_id: str, services: Services
) -> None:
    form = {"patient_id": str(patient_id), "files": [part("a.png", picture()), part("b.png", b"x")]}
    answer = admin.post(f"/api/batches/{batch_id}/scans?dry_run=1", data=form)
    assert answer.status_code == 200
    assert [result["success"] for result in answer.json["results"]] == [True, False]
    assert answer.json["results"][0] == {"success": True, "filename": "a.png", "patient_id": patient_id}
    assert (rows_of(services), stored(services)) == ((0, 0), [])


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (b"", "columns"),
        (b"filename\na.png", "columns"),
        (b"name,patient\na.png,1", "columns"),
        (b"filename;patient_id\na.png;1", "columns"),
        (b"filename,patient_id\n", "names no file"),
        (b"filename,patient_id\na.png,1\na.png,1\n", "line 3"),
        (b"filename,patient_id\na.png,1\n,1\n", "line 3"),
        ("filename,patient_id\nä.png,1".encode("latin-1"), "UTF-8"),
        ("filename,patient_id\na.png,1".encode("utf-16"), "UTF-8"),
        (b"filename,patient_id\n" + b"x" * 200_000 + b",1\n", "line 2"),
        (b"filename,patient_id\n" + b"a.png,1\n" * 200_000, "too l"),  # long, or large
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_as_a_whole(
    admin: FlaskClient, batch_id: str, services: Services, table: bytes, word: str
) -> None:
    archive = zipped([("a.png", picture())])
    inside = zipped([("a.png", picture()), ("manifest.csv", table)])
    for answer in (post(admin, batch_id, archive, table), post(admin, batch_id, inside)):
        assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")
        assert answer.json["field"] == "manifest"
        assert word in answer.json["error"]
    assert stored(services) == []


def test_a_zip_without_manifest_says_what_it_needs(admin: FlaskClient, batch_id: str) -> None:
    answer = post(admin, batch_id, zipped([("a.png", picture())]))
    assert (answer.status_code, answer.json["field"]) == (400, "archive")
    assert "filename,patient_id" in answer.json["error"]


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"PK",
        b"no zip at all",
        picture(),
        zipped([("a.png", picture())])[:60],
        b"PK\x05\x06" + b"\xff" * 18,
    ],
    ids=["nothing", "two bytes", "text", "picture", "cut off", "only an end"],
)
def test_what_is_no_zip_is_refused(admin: FlaskClient, batch_id: str, archive: bytes) -> None:
    answer = post(admin, batch_id, archive, manifest(("a.png", 1)))
    assert (answer.status_code, answer.json["field"]) == (400, "archive")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.png", "/etc/x.png", "C:\\x.png", "..\\..\\x.png", "a/../../b.png", "=cmd.png"]
)
def test_names_in_a_zip_are_only_text(
    admin: FlaskClient, patient_id: int, batch_id: str, services: Services, name: str
) -> None:
    answer = post(admin, batch_id, zipped([(name, picture())]), manifest((name, patient_id)))
    assert answer.status_code == 202
    shown = answer.json["results"][0]["filename"]
    assert not set(shown) & set("/\\")
    (key,) = stored(services)
    assert key == f"original/{answer.json['scan_ids'][0]}.png"


def test_too_many_files_are_refused_and_as_many_as_allowed_are_not(
    admin: FlaskClient, patient_id: int, batch_id: str, services: Services
) -> None:
    few = as_(admin, services, max_files_per_upload=3)
    for number, status in ((3, 202), (4, 400)):
        members = pictures(number)
        table = manifest(*((name, patient_id) for name, _ in members))
        archive = zipped([("folder/", b""), ("manifest.csv", table), *members])
        answer = post(few, batch_id, archive)
        assert answer.status_code == status
    assert "at most 3 files" in answer.json["error"]
    whole = pictures(201)
    answer = post(admin, batch_id, zipped(whole), manifest(*((name, patient_id) for name, _ in whole)))
    assert (answer.status_code, rows_of(services)) == (400, (3, 3))


def test_a_zip_bomb_that_says_so_is_refused_before_it_is_unpacked(
    admin: FlaskClient, patient_id: int, batch_id: str, services: Services
) -> None:
    small = as_(admin, services, max_content_length=20_000)
    members = [(f"{n}.png", bytes(30_000)) for n in range(3)]
    answer = post(small, batch_id, zipped(members), manifest(("0.png", patient_id)))
    assert (answer.status_code, answer.json["field"]) == (400, "archive")
    assert "too large" in answer.json["error"]


def test_a_zip_bomb_that_lies_is_cut_off(
    admin: FlaskClient, patient_id: int, batch_id: str, services: Services
) -> None:
    bomb = zipped([("bomb.png", bytes(3_000_000)), ("good.png", picture())])
    lying = bomb.replace(struct.pack("<L", 3_000_000), struct.pack("<L", 100))
    assert lying != bomb
    small = as_(admin, services, max_content_length=20_000)
    answer = post(small, batch_id, lying, manifest(("bomb.png", patient_id), ("good.png", patient_id)))
    assert answer.status_code == 202
    assert results_of(answer) == {"bomb.png": False, "good.png": True}
    bomb = zipped([("manifest.csv", b"filename,patient_id\n" + b"," * 3_000_000)])
    lying = bomb.replace(struct.pack("<L", 3_000_020), struct.pack("<L", 100))
    assert post(small, batch_id, lying).status_code == 400


def damaged(archive: bytes, name: str, kind: str) -> bytes:
    """The archive with one member that cannot be read."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        info = opened.getinfo(name)
    data = bytearray(archive)
    begin = info.header_offset + 30 + len(name)
    entry = archive.rindex(name.encode()) - 46  # of the central directory
    if kind == "bytes":
        data[begin : begin + 20] = b"\xff" * 20
    elif kind == "checksum":
        data[entry + 16] ^= 0xFF
    elif kind == "encrypted":
        data[entry + 8] |= 1
        data[info.header_offset + 6] |= 1
    elif kind == "method":
        data[entry + 10 : entry + 12] = struct.pack("<H", 99)
    elif kind == "offset":
        data[entry + 42 : entry + 46] = struct.pack("<L", 2**31)
    else:
        data[info.header_offset : info.header_offset + 4] = b"XXXX"
    return bytes(data)


@pytest.mark.parametrize("kind", ["bytes", "checksum", "encrypted", "method", "offset", "header"])
@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]
)
def test_a_damaged_or_encrypted_member_spoils_only_itself(
    admin: FlaskClient, patient_id: int, batch_id: str, kind: str, method: int
) -> None:
    members: list[NamedBytes] = [("one.png", picture(1)), ("two.png", picture(2)), ("three.png", picture(3))]
    archive = damaged(zipped(members, method), "two.png", kind)
    table = manifest(*((name, patient_id) for name, _ in members))
    for query, status in (("?dry_run=1", 200), ("", 202)):
        answer = post(admin, batch_id, archive, table, query)
        assert answer.status_code == status, answer.json
        assert results_of(answer) == {"one.png": True, "two.png": False, "three.png": True}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_damaged_manifest_inside_the_zip_is_refused(
    admin: FlaskClient, patient_id: int, batch_id: str, method: int
) -> None:
    members = [("a.png", picture()), ("manifest.csv", manifest(("a.png", patient_id)) * 5)]
    answer = post(admin, batch_id, damaged(zipped(members, method), "manifest.csv", "bytes"))
    assert answer.status_code == 400
    assert answer.json["error"]


def test_the_same_name_twice_in_a_zip_is_one_scan(
    admin: FlaskClient, patient_id: int, batch_id: str, services: Services
) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped([("a.png", picture(1)), ("a.png", picture(2))])
    assert post(admin, batch_id, archive, manifest(("a.png", patient_id))).status_code == 202
    assert rows_of(services) == (1, 1)


def test_a_zip_where_nothing_is_usable_is_a_400_that_names_each_file(
    admin: FlaskClient, patient_id: int, batch_id: str, services: Services
) -> None:
    table = manifest(("a.png", patient_id), ("b.png", patient_id))
    answer = post(admin, batch_id, zipped([("a.png", b"x"), ("c.png", picture())]), table)
    assert answer.status_code == 400
    assert [result["filename"] for result in answer.json["results"]] == ["a.png", "b.png", "c.png"]
    assert rows_of(services) == (0, 0)


def test_fields_that_a_browser_sends_empty_count_as_absent(
    admin: FlaskClient, patient_id: int, batch_id: str
) -> None:
    archive = zipped([("a.png", picture()), ("manifest.csv", manifest(("a.png", patient_id)))])
    nothing = {"files": part("", b""), "archive": part("", b""), "manifest": part("", b"")}
    for chosen in ({"archive": part("a.zip", archive)}, {"files": part("a.png", picture())}):
        form = {"patient_id": str(patient_id), **nothing, **chosen}
        assert admin.post(f"/api/batches/{batch_id}/scans", data=form).status_code == 202
        nothing = {name: part("", b"") for name in nothing}
    form = {"archive": part("a.zip", archive), "files": part("a.png", picture())}
    both = admin.post(f"/api/batches/{batch_id}/scans", data=form)
    assert (both.status_code, both.json["field"]) == (400, "archive")


def test_a_zip_to_another_route_is_no_picture(admin: FlaskClient, patient_id: int) -> None:
    answer = send(admin, patient_id, ("scans.zip", zipped([("a.png", picture())])))
    assert (answer.status_code, answer.json["code"]) == (400, "FILE_UPLOAD_ERROR")
