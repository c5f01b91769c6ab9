"""The integration tests' application, for what is sent through it."""

from tests.integration.conftest import (  # noqa: F401
    admin,
    cheap_passwords,
    images,
    model,
    patient_id,
    pipeline,
    queue,
    renderer,
    services,
)
