"""Signed links to pictures, which pages follow without a login."""

from dataclasses import replace

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
