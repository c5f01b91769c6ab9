"""Signed links to pictures, which pages follow without a login."""

from dataclasses import replace

from flask.testing import FlaskClient

from shared.services import Services
from tests.fakes import picture
from tests.integration.conftest import client_of


def test_a_page_full_of_pictures_counts_as_a_caller_and_not_as_a_stranger(services: Services) -> None:
    limits = {"anonymous_requests_per_minute": 2, "requests_per_minute": 6}
    limited = replace(services, settings=services.settings.model_copy(update=limits))
    services.images.put("overlay/one.png", picture(), "image/png")
    link = services.images.link("overlay/one.png")
    client = client_of(limited, use_cookies=False)
    assert [client.get(link).status_code for _ in range(7)] == [200] * 6 + [429]


def test_polls_of_somebody_signed_in_are_not_counted_against_the_address(
    services: Services, admin: FlaskClient
) -> None:
    limited = services.settings.model_copy(update={"anonymous_requests_per_minute": 2})
    client = client_of(replace(services, settings=limited), use_cookies=False)
    url = "/api/jobs/00000000-0000-4000-8000-000000000000"
    login = {"Authorization": admin.environ_base["HTTP_AUTHORIZATION"]}
    assert [client.get(url, headers=login).status_code for _ in range(5)] == [404] * 5
    assert [client.get(url).status_code for _ in range(3)] == [401, 401, 429]
