"""ZIPs that want to get out of their folder, fill the memory, or be something else."""

import csv
import io
import resource
import time
import tracemalloc
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.uploads import clean_filename
from api.zips import MOST_ENTRIES, open_zip, read_member
from shared.errors import FileUploadError, ValidationError
from shared.services import Services
from tests.bad_inputs.case import NEITHER
from tests.bad_inputs.names import NAMES
from tests.bad_inputs.zip_bytes import (
    claiming,
    of_greedy_lzma,
    of_many_entries,
    of_overlapping_members,
    with_link,
    zip64,
)
from tests.fakes import picture
from tests.integration.sending import new_batch, part, stored, zipped

MEGABYTE = 1_000_000
# "x/" is a folder; a manifest's cells are stripped; a NUL ends a name in a ZIP.
ZIPPED_NAMES = [
    name for name in NAMES if name.strip(" \r\n\0/") == name != "" and not {"\0", "\ud800"} & set(name)
]


@pytest.fixture
def scarce_memory() -> Iterator[None]:
    """A process that may take one more gigabyte of addresses."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = psutil.Process().memory_info().vms + 1000 * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def post(client: FlaskClient, archive: bytes, names: Sequence[str], patient_id: int) -> TestResponse:
    table = io.StringIO()
    csv.writer(table).writerows([("filename", "patient_id"), *((name, patient_id) for name in names)])
    form = {"archive": part("a.zip", archive), "manifest": part("m.csv", table.getvalue().encode())}
    answer = client.post(f"/api/batches/{new_batch(client)}/scans", data=form)
    answer.request.environ["wsgi.input"].close()  # the test client leaves its file of a large body open
    return answer


def errors_of(answer: TestResponse) -> list[str | None]:
    return [result.get("error") for result in answer.json["results"]]


def test_a_zip_in_a_zip_is_no_picture_and_is_not_unpacked(admin: FlaskClient, patient_id: int) -> None:
    inner = zipped([("deep.png", bytes(10 * MEGABYTE))])
    for _ in range(5):
        inner = zipped([("inner.zip", inner)])
    answer = post(
        admin, zipped([("inner.png", inner), ("a.png", picture())]), ["inner.png", "a.png"], patient_id
    )
    assert (answer.status_code, errors_of(answer)) == (202, [NEITHER, None])


def test_a_link_is_only_bytes(
    admin: FlaskClient, patient_id: int, services: Services, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture())
    archive = with_link("link.png", str(secret), ("link.png/a.png", picture(9)))
    answer = post(admin, archive, ["link.png", "link.png/a.png"], patient_id)
    assert (answer.status_code, errors_of(answer)) == (202, [NEITHER, None])
    (key,) = stored(services)
    assert services.images.get(key) == picture(9)
    assert secret.read_bytes() == picture()


def test_names_in_a_zip_are_shown_harmless_and_lead_nowhere(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    assert len(ZIPPED_NAMES) > 30
    archive = zipped([(name, picture()) for name in ZIPPED_NAMES])
    answer = post(admin, archive, ZIPPED_NAMES, patient_id)
    assert (answer.status_code, set(errors_of(answer))) == (202, {None})
    assert [result["filename"] for result in answer.json["results"]] == [
        clean_filename(name) for name in ZIPPED_NAMES
    ]
    assert stored(services) == sorted(f"original/{scan_id}.png" for scan_id in answer.json["scan_ids"])


def test_zip64_is_read(admin: FlaskClient, patient_id: int) -> None:
    answer = post(admin, zip64([("a.png", picture())]), ["a.png"], patient_id)
    assert (answer.status_code, errors_of(answer)) == (202, [None])


@pytest.mark.parametrize("size", [2**32, 2**62, 2**64 - 1])
def test_zip64_that_claims_to_be_huge_is_refused(admin: FlaskClient, patient_id: int, size: int) -> None:
    answer = post(admin, claiming(size), ["a.png"], patient_id)
    assert (answer.status_code, answer.json["error"]) == (
        400,
        "archive: its files are too large once unpacked.",
    )


def test_members_that_share_their_bytes_are_refused_one_by_one(admin: FlaskClient, patient_id: int) -> None:
    archive = of_overlapping_members(bytes(300_000), 150)
    answer = post(admin, archive, [f"{n}.png" for n in range(150)], patient_id)
    assert answer.status_code == 400
    assert len(answer.json["results"]) == 150
    assert None not in errors_of(answer)


def test_a_picture_with_a_zip_behind_it_is_read_as_what_it_was_sent_as(
    admin: FlaskClient, patient_id: int
) -> None:
    both = picture() + zipped([("a.png", picture())])
    answer = post(admin, both, ["a.png"], patient_id)
    assert (answer.status_code, errors_of(answer)) == (202, [None])


@pytest.mark.parametrize("claimed", [None, 1])
def test_a_hundred_thousand_entries_are_refused_before_they_are_read(claimed: int | None) -> None:
    stream = io.BytesIO(of_many_entries(100_000, claimed))
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(ValidationError, match="at most 10,000 entries"):
        open_zip(stream)
    seconds, (_, most) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5 * MEGABYTE
    assert seconds < 1


def test_as_many_entries_as_are_allowed_are_read() -> None:
    assert len(open_zip(io.BytesIO(of_many_entries(MOST_ENTRIES))).infolist()) == MOST_ENTRIES
    with pytest.raises(ValidationError, match="entries"):
        open_zip(io.BytesIO(of_many_entries(MOST_ENTRIES + 1)))


def test_too_many_entries_are_a_sentence_over_http(admin: FlaskClient, patient_id: int) -> None:
    answer = post(admin, of_many_entries(100_000), ["1.png"], patient_id)
    assert (answer.status_code, answer.json["field"]) == (400, "archive")


@pytest.mark.usefixtures("scarce_memory")
def test_a_member_that_asks_for_gigabytes_is_refused_alone() -> None:
    opened = zipfile.ZipFile(io.BytesIO(of_greedy_lzma("a.png", picture())))
    with pytest.raises(FileUploadError, match="damaged or encrypted"):
        read_member(opened, opened.getinfo("a.png"), MEGABYTE)
