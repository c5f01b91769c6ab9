"""JSON that is too deep, too large or too odd, to every route that changes something."""

from flask import Flask
from flask.testing import FlaskClient

from tests.integration.test_access import World, url_of
from tests.security.attacks import JSON_BOMBS

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
SOME = JSON_BOMBS[::3]  # routes that read JSON get all of them in test_hostile_text
LAST = ("reset-password", "logout")  # they end the very login that sends


def routes(app: Flask) -> list[tuple[str, str]]:
    found = [
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) & CHANGING)
    ]
    return sorted(found, key=lambda route: route[1].endswith(LAST))


def test_no_json_makes_any_changing_route_fail(world: World, admin: FlaskClient) -> None:
    """Of the URL map itself: a new route is asked without being named here."""
    found = routes(admin.application)
    assert len(found) > 12
    wrong = []
    for method, rule in found:
        for bomb in SOME:
            answer = admin.open(
                url_of(rule, world), method=method, data=bomb, content_type="application/json"
            )
            if answer.status_code not in range(200, 500):
                wrong.append(f"{method} {rule} {bomb[:40]!r}: {answer.status_code}")
    assert wrong == []
