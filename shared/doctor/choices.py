"""Settings that are valid and still deserve a second look. Wrong ones stop every process at its start."""

from collections.abc import Iterator

from shared.doctor.finding import Finding, ok, warning
from shared.settings import Settings

NAME = "settings"


def check(settings: Settings) -> Iterator[Finding]:
    doubts = list(_in_production(settings) if settings.is_production else _in_development())
    if settings.allow_public_uploads:
        doubts.append("ALLOW_PUBLIC_UPLOADS is on: anybody may upload. Switch it off unless that is meant.")
    if settings.engine == "load-test":
        doubts.append("ENGINE is load-test: no scan is analysed. Set it to auto for real work.")
    yield from (warning(NAME, doubt) for doubt in doubts)
    if not doubts:
        yield ok(NAME, "complete, for production")


def _in_development() -> Iterator[str]:
    yield (
        "FLASK_ENV is development, which is fine on a machine of your own; set it to production where others "
        "reach the system."
    )


def _in_production(settings: Settings) -> Iterator[str]:
    if settings.cors_origins == type(settings).model_fields["cors_origins"].default:
        yield "CORS_ORIGINS is the default for development: set it to the address of your frontend."
    if settings.trusted_proxies == 0:
        yield (
            "TRUSTED_PROXIES is 0: behind a proxy all callers look like one address. Set it to the number of "
            "proxies in front."
        )
