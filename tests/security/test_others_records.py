"""One patient, another's ids: nothing is told, whichever way the id is guessed."""

import time

import pytest
from flask.testing import FlaskClient
from itsdangerous import URLSafeSerializer

from shared.services import Services
from tests.integration.conftest import SECRET, client_of
from tests.integration.test_access import TABLE, World, url_of


def test_another_patients_ids_open_nothing(world: World, callers: dict[str, FlaskClient]) -> None:
    """Every route with an id: B is answered about A's as about what is not there, or refused."""
    told = []
    for method, rule in TABLE:
        if "<" not in rule or rule.startswith(("/api/files/", "/portal/static/")):
            continue
        send, _ = TABLE[method, rule]
        answer = callers["patient B"].open(url_of(rule, world), method=method, **send(world))
        if answer.status_code not in (403, 404):
            told.append(f"{method} {rule}: {answer.status_code}")
        for secret in (world.report, world.filename, "a.png", "Ada"):
            assert secret not in answer.text, rule
    assert told == []


def test_guessed_numbers_open_nothing(world: World, callers: dict[str, FlaskClient]) -> None:
    """A's numbers are small and can be guessed. B sees B's own record, and no other."""
    own = callers["patient B"].get("/api/account").json["data"]["id"]
    assert own != world.patient
    for number in (*range(-1, 12), 2**31 - 1, 2**31, 2**63, 10**30):
        for tail in ("", "/scans", "/reports"):
            answer = callers["patient B"].get(f"/api/patient/{number}{tail}")
            assert (answer.status_code == 200) == (number == own), number
        assert callers["patient B"].get(f"/api/scans/{number}/image").status_code in (403, 404)


def test_a_patient_cannot_order_work_on_anothers_records(
    world: World, callers: dict[str, FlaskClient]
) -> None:
    stranger = callers["patient B"]
    assert stranger.delete(f"/api/jobs/{world.job}").status_code == 403
    assert stranger.post(f"/api/jobs/{world.job}/retry").status_code == 403
    assert stranger.delete(f"/api/batches/{world.batch}").status_code == 403
    assert stranger.get("/api/admin/patients").status_code == 403
    waited = stranger.get(f"/api/jobs/{world.job}?wait=1")
    assert (waited.status_code, "patient" in waited.text) == (404, False)


@pytest.mark.parametrize("name", ["nobody", "admin"])
def test_a_link_of_one_store_opens_no_other(world: World, callers: dict[str, FlaskClient], name: str) -> None:
    client = callers[name]
    assert client.get(f"/api/files/images/{world.image_token}").status_code == 200
    assert client.get(f"/api/files/reports/{world.image_token}").status_code == 404
    assert client.get(f"/api/files/images/{world.report_token}").status_code == 404


def test_a_link_that_was_changed_or_is_old_opens_nothing(
    world: World, callers: dict[str, FlaskClient]
) -> None:
    nobody, token = callers["nobody"], world.image_token
    payload, _, signature = token.rpartition(".")
    forged = [
        payload,
        f"{payload}.",
        f".{signature}",
        token[:-1],
        token + "A",
        token.swapcase(),
        token[::-1],
        f"{world.report_token.rpartition('.')[0]}.{signature}",
        URLSafeSerializer("another key").dumps(["overlay/x.png", 9999999999]),
        "eyJhbGciOiJub25lIn0.eyJrZXkiOiJ4In0.",  # pragma: allowlist secret - no key signed it
        "." * 500,
        "\x00",
        "%00",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "A" * 20_000,
    ]
    for link in forged:
        assert nobody.get(f"/api/files/images/{link}").status_code == 404, link[:40]


@pytest.mark.usefixtures("world")
def test_a_link_ends_with_its_time(services: Services) -> None:
    """And even a right signature opens nothing outside the store."""
    key = next(iter(services.images.keys("overlay/"))).key
    nobody = client_of(services, use_cookies=False)
    assert nobody.get(services.images.link(key)).status_code == 200
    assert nobody.get(f"/api/files/images/{_signed(key, time.time() - 1)}").status_code == 404
    assert nobody.get(f"/api/files/images/{_signed('../../etc/passwd', time.time() + 99)}").status_code == 404


def _signed(key: str, expires: float) -> str:
    """As the store signs, with its own key: what is inside must be checked all the same."""
    return str(URLSafeSerializer(SECRET, salt="local-store:images").dumps([key, int(expires)]))
