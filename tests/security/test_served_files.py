"""What was uploaded never runs as a page of ours, and no answer leads to a host that a client named."""

import io
from urllib.parse import urlsplit

from flask.testing import FlaskClient
from PIL import Image, PngImagePlugin

from shared.services import Services
from tests.fakes import picture
from tests.integration.conftest import client_of
from tests.integration.sending import send, zipped
from tests.integration.test_access import World
from tests.security.conftest import PUBLIC_URL

SCRIPT = b"<html><svg onload=alert(1)><script>alert(1)</script></svg></html>"


def commented(image_format: str) -> bytes:
    """A picture whose metadata is a page."""
    file, image = io.BytesIO(), Image.new("L", (48, 48), 90)
    if image_format == "PNG":
        notes = PngImagePlugin.PngInfo()
        notes.add_text("Comment", SCRIPT.decode())
        image.save(file, "PNG", pnginfo=notes)
    else:
        image.save(file, "JPEG", comment=SCRIPT)
    return file.getvalue()


def test_a_picture_that_is_a_page_too_is_served_as_a_picture(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    nobody = client_of(services, use_cookies=False)
    both = [
        (commented("PNG"), "image/png"),
        (commented("JPEG"), "image/jpeg"),
        (picture() + SCRIPT, "image/png"),
        (picture(image_format="JPEG") + SCRIPT, "image/jpeg"),
        (picture() + zipped([("index.html", SCRIPT)]), "image/png"),
    ]
    for content, kind in both:
        for name in ("x.html", "x.svg", "x.png.php"):
            assert send(admin, patient_id, (name, content)).status_code == 202
            link = admin.get(f"/api/admin/patients/{patient_id}/scans").json["data"][0]["original_path"]
            answer = nobody.get(urlsplit(link).path)
            assert (answer.status_code, answer.mimetype, answer.data) == (200, kind, content)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            shown_as = answer.headers.get("Content-Disposition", "inline")
            assert not shown_as.endswith((".html", ".svg", ".php"))


def test_a_page_is_no_picture(admin: FlaskClient, patient_id: int) -> None:
    svg = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>"
    for content in (SCRIPT, svg, b"%PDF-1.7", b"GIF89a" + SCRIPT, b"\xef\xbb\xbf" + svg):
        for name in ("x.png", "x.svg", "x.html", "x.jpg"):
            assert send(admin, patient_id, (name, content)).status_code == 400


def test_reports_are_downloaded_and_never_shown(world: World, admin: FlaskClient) -> None:
    for url in (f"/api/report/file/{world.filename}", f"/api/files/reports/{world.report_token}"):
        answer = admin.get(url)
        assert answer.mimetype == "application/pdf"
        assert answer.headers["Content-Disposition"].startswith("attachment")
    table = admin.get(f"/api/batches/{world.batch}/results.csv")
    assert table.headers["Content-Disposition"].startswith("attachment")


POISON = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "javascript",
    "X-Forwarded-Prefix": "//evil.example",
    "Forwarded": "host=evil.example;proto=https",
    "X-Host": "evil.example",
    "X-Original-Host": "evil.example",
}


def everything_linked(client: FlaskClient, world: World) -> str:
    """All answers that hold addresses, headers included."""
    urls = [
        f"/api/scans/{world.scan}/image",
        f"/api/jobs/{world.job}",
        f"/api/admin/patients/{world.patient}/scans",
        f"/api/report/download/{world.report}",
        "/api/admin/scans?limit=1",
        "/api/admin/reports",
        "/api//jobs",
        "/api/jobs/",
        "//evil.example/api/jobs",
        "/\\evil.example",
        "/%2f%2fevil.example",
        f"/api/scans/{world.scan}/image?kind=original&next=//evil.example&redirect=https://evil.example",
    ]
    answers = [client.get(url, headers=POISON) for url in urls]
    upload = {"patient_id": str(world.patient), "files": [(io.BytesIO(picture()), "a.png")]}
    answers.append(client.post("/api/admin/scans/upload", data=upload, headers=POISON))
    answers.append(client.post("/api/batches", json={}, headers=POISON))
    assert all(answer.status_code in (200, 201, 202, 302, 400, 404) for answer in answers)
    return "\n".join(f"{answer.headers}\n{answer.text}" for answer in answers)


def test_links_of_production_lead_to_the_public_address_whatever_the_request_says(
    world: World, admin: FlaskClient, production: Services
) -> None:
    client = client_of(production, use_cookies=False)
    client.environ_base = dict(admin.environ_base)
    told = everything_linked(client, world)
    assert f"{PUBLIC_URL}/api/files/images/" in told
    assert "evil" not in told


def test_without_a_public_address_only_the_host_itself_counts(world: World, admin: FlaskClient) -> None:
    """In development links follow the Host header; no forwarded one is believed without a trusted proxy."""
    shown = {**POISON, "Host": "api.internal"}
    answer = admin.get(f"/api/admin/patients/{world.patient}/scans", headers=shown)
    assert "http://api.internal/api/files/images/" in answer.text
    assert "evil" not in answer.text + str(answer.headers)
