"""Made-up forms, bounded: whatever their parts are called and wherever they end, the answer is documented.

The client of the tests holds each answer against the API's description.
"""

import itertools

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from shared.models import Scan
from tests.fakes import picture
from tests.integration.sending import new_batch

PICTURE = picture()
# Of a form that breaks off, Werkzeug leaves the files to the garbage collector, which says so.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ROUTES = ("/api/admin/scans/upload", "/api/scan/upload", "/api/batches/{batch}/scans")
FIELDS = (
    "patient_id",
    "file",
    "files",
    "manifest",
    "archive",
    "generate_report",
    "dry_run",
    "files[]",
    "",
    "id",
)
FILENAMES = (None, "", "a.png", "a.zip", "a.csv", "../../x", "\\", "a\0b.png", "\u202egnp.png", "x" * 5_000)
CONTENTS = (
    b"",
    b"1",
    b"-1",
    b"9" * 400,
    b"true",
    b"\0",
    b"\xff\xfe",
    b"PK\3\4",
    b"patient_id,filename\n1,a",
    PICTURE,
)
DISPOSITIONS = (  # of a part; @ is its name and file name
    "Content-Disposition: form-data; @",
    "content-disposition: FORM-DATA; @",
    "Content-Disposition: form-data; @; @",
    "Content-Disposition: attachment; @",
    "Content-Disposition: form-data",
    "Content-Disposition:",
    "Content-Disposition: form-data; @; filename*=UTF-8''%2e%2e%2fx",
    "Content-Disposition: form-data; @; filename*=utf-7''+AC8-",
    "Content-Disposition: form-data; @; filename*0=a; filename*1=b",
    "Content-Disposition: form-data; @\r\nContent-Disposition: form-data; name=files",
    "Content-Disposition: form-data;\r\n @",
    "X: y",
    "",
    "no colon",
    ": x",
)
TYPES = (
    "",
    "Content-Type: image/png",
    "Content-Type: text/plain; charset=utf-7",
    "Content-Type: text/plain; charset=none-such",
    "Content-Type: multipart/mixed; boundary=b",
    "Content-Transfer-Encoding: base64",
    "Content-Length: 99999999",
    "X: " + "y" * 9_000,
)
BOUNDARIES = ("b", "-", "----------", "b b", "'", "x" * 70, "x" * 500, "\u00e9", "b;c", "")
ENDS = ("--{}--\r\n", "--{}--", "--{}", "", "--{}--\r\n--{}\r\n", "\r\n--{}--trailing")
HEADERS = (
    'multipart/form-data; boundary="{}"',
    "multipart/form-data; boundary={}",
    "multipart/form-data; boundary={}; boundary=other",
    "multipart/form-data; charset=utf-16; boundary={}",
    "MULTIPART/FORM-DATA; BOUNDARY={}",
    "multipart/form-data",
    "multipart/mixed; boundary={}",
    "application/x-www-form-urlencoded",
)


@st.composite
def parts(draw: st.DrawFn) -> bytes:
    name, filename = draw(st.sampled_from(FIELDS)), draw(st.sampled_from(FILENAMES))
    quote = draw(st.sampled_from(('"', "", "'")))
    called = f"name={quote}{name}{quote}" + (
        "" if filename is None else f"; filename={quote}{filename}{quote}"
    )
    head = draw(st.sampled_from(DISPOSITIONS)).replace("@", called)
    kind = draw(st.sampled_from(TYPES))
    lines = "\r\n".join(line for line in (head, kind) if line)
    content = draw(st.sampled_from(CONTENTS) | st.binary(max_size=40))
    return f"{lines}\r\n\r\n".encode("utf-8", "surrogatepass") + content


@st.composite
def forms(draw: st.DrawFn) -> tuple[str, bytes]:
    """Content type and body: parts with a boundary, an end, and at times a cut."""
    boundary = draw(st.sampled_from(BOUNDARIES))
    start, end = f"--{boundary}\r\n".encode(), draw(st.sampled_from(ENDS)).replace("{}", boundary).encode()
    whole = b"".join(start + part + b"\r\n" for part in draw(st.lists(parts(), max_size=6)))
    body = draw(st.sampled_from((b"", b"preamble\r\n", b"\r\n"))) + whole + end
    cut = draw(st.none() | st.integers(0, len(body)))
    return draw(st.sampled_from(HEADERS)).replace("{}", boundary), body[:cut]


@pytest.fixture
def addresses(admin: FlaskClient) -> list[str]:
    batch = new_batch(admin)
    return [route.format(batch=batch) for route in ROUTES]


def test_no_form_makes_a_route_fail(admin: FlaskClient, patient_id: int, addresses: list[str]) -> None:
    del patient_id  # that of number 1
    turns = itertools.cycle(addresses)
    seen = set()

    @settings(
        max_examples=220,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(forms())
    def send(form: tuple[str, bytes]) -> None:
        kind, body = form
        answer = admin.post(next(turns), data=body, headers={"Content-Type": kind.encode().decode("latin-1")})
        seen.add(answer.status_code)
        assert answer.status_code in (200, 202, 400, 404, 409, 413, 415), (kind, body[:500])

    send()
    assert 400 in seen


def form(*fields: bytes) -> bytes:
    return (
        b"".join(b"--b\r\nContent-Disposition: form-data; " + field + b"\r\n" for field in fields)
        + b"--b--\r\n"
    )


PATIENT = b'name="patient_id"\r\n\r\n1'
FILE = b'name="files"; filename="a.png"\r\n\r\n' + PICTURE


@pytest.mark.usefixtures("patient_id")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (form(PATIENT, FILE), 202),
        (form(FILE, PATIENT), 202),
        (form(PATIENT, PATIENT, FILE), 202),
        (
            form(b'name="patient_id"\r\n\r\n2', PATIENT, FILE),
            404,
        ),  # the first of two counts, and there is no 2
        (form(FILE), 400),
        (form(PATIENT), 400),
        (form(PATIENT, b'name="files"\r\n\r\nno file'), 400),
        (form(PATIENT, *[b'name="x"\r\n\r\n1'] * 900, FILE), 202),
        (form(PATIENT, *[b'name="x"\r\n\r\n1'] * 1_100, FILE), 413),
        (form(PATIENT, *[FILE] * 201), 400),
        (form(PATIENT, b'name="x"\r\n\r\n' + b"y" * 600_000, FILE), 413),
        (form(PATIENT, FILE)[:-20], 400),  # cut within the picture
        (form(PATIENT, FILE).replace(b"--b--\r\n", b""), 400),  # without its end
        (form(PATIENT, FILE).replace(b"\r\n", b"\n"), 400),
        (b"--b\r\n" * 20_000, 400),
        (b"--b" + b"-" * 1_000_000, 413),
        (b"\r\n" * 200_000 + form(PATIENT, FILE), 202),
    ],
    ids=range(17),
)
def test_forms_that_count_on_confusion(
    admin: FlaskClient, sessions: sessionmaker[Session], body: bytes, status: int
) -> None:
    answer = admin.post("/api/admin/scans/upload", data=body, content_type="multipart/form-data; boundary=b")
    assert answer.status_code == status, answer.text[:300]
    with sessions() as session:
        kept = session.execute(select(func.count()).select_from(Scan)).scalar_one()
    assert kept == (1 if status == 202 else 0)
