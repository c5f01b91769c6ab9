"""Signed links to pictures, which pages follow without a login."""

import io
from dataclasses import replace

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from shared.services import Services
from tests.fakes import picture
from tests.integration.conftest import client_of


def sideways() -> bytes:
    """1200 x 800 as people see it, stored on its side."""
    image = Image.open(io.BytesIO(picture(size=(800, 1200))))
    exif = Image.Exif()
    exif[274] = 6
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


def sixteen_bit() -> bytes:
    """As scanners write it: values far above 255."""
    columns = np.linspace(0, 4000, 1200, dtype=np.uint16)
    file = io.BytesIO()
    Image.fromarray(np.tile(columns, (800, 1))).save(file, "PNG")
    return file.getvalue()


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


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("overlay/wide.png", picture(size=(1200, 800))),
        ("original/turned.jpg", sideways()),
        ("original/deep.png", sixteen_bit()),
    ],
)
def test_a_small_version_fits_its_square_and_costs_a_fraction(
    services: Services, anonymous: FlaskClient, key: str, data: bytes
) -> None:
    services.images.put(key, data, "image/png")
    answer = anonymous.get(services.images.thumbnail(key, 64))
    assert (answer.status_code, answer.mimetype) == (200, "image/webp")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    small = Image.open(io.BytesIO(answer.data)).convert("L")
    assert small.size == (64, 43)
    assert len(answer.data) < len(data)
    dark, bright = small.getextrema()
    assert (dark < 40, bright > 100) == (True, True)  # 16 bits are scaled, not cut off


def test_where_nothing_can_be_scaled_the_file_comes_as_it_is(
    services: Services, anonymous: FlaskClient
) -> None:
    services.images.put("original/broken.png", b"no picture", "image/png")
    assert anonymous.get(services.images.thumbnail("original/broken.png", 64)).data == b"no picture"


def test_nobody_asks_for_a_size_of_their_own_and_what_is_deleted_is_gone(
    services: Services, anonymous: FlaskClient
) -> None:
    services.images.put("overlay/one.png", picture(), "image/png")
    link = services.images.thumbnail("overlay/one.png", 64)
    assert anonymous.get(f"{link}?side=9000").data == anonymous.get(link).data
    services.images.delete("overlay/one.png")
    assert anonymous.get(link).status_code == 404
