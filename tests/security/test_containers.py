"""What no image and no container of ours may hold, whichever there are: root's rights or a secret."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILES = sorted(ROOT.glob("Dockerfile.*"))
SECRET_NAMES = re.compile(
    r"SECRET|PASSWORD|TOKEN|PRIVATE|CREDENTIAL|BASIC_AUTH|API_KEY|ACCESS_KEY", re.IGNORECASE
)
REFERENCE = re.compile(r"(\$\{[^}]*\}|[^$]*\$\{[A-Z_]+(:[-?][^}]*)?\}[^$]*)?")  # to a variable, or nothing


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Name and arguments, with continued lines joined and comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    pairs = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(pair[0].upper(), pair[1]) for pair in pairs if len(pair) == 2]


def test_the_last_stage_of_every_image_runs_as_a_numbered_user() -> None:
    """A number, so that a cluster can see that it is not root."""
    assert DOCKERFILES
    for dockerfile in DOCKERFILES:
        found = instructions(dockerfile)
        last_stage = max(place for place, (name, _) in enumerate(found) if name == "FROM")
        users = [arguments for name, arguments in found[last_stage:] if name == "USER"]
        assert users, dockerfile.name
        assert re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1]), dockerfile.name


def test_no_image_holds_a_secret() -> None:
    """Neither as a variable nor as a build argument, which stay in an image's history, nor as a file."""
    for dockerfile in DOCKERFILES:
        for name, arguments in instructions(dockerfile):
            if name in ("ENV", "ARG"):
                names = [word.split("=", 1)[0] for word in arguments.split()]
                assert not [word for word in names if SECRET_NAMES.search(word)], dockerfile.name
            if name in ("COPY", "ADD"):
                assert ".env" not in arguments
                assert "secrets" not in arguments
                sources = [word for word in arguments.split()[:-1] if not word.startswith("--")]
                assert "." not in sources, f"{dockerfile.name} copies whatever lies in the folder"
            assert name != "ADD" or "http" not in arguments


def test_no_secret_is_written_into_the_compose_file() -> None:
    """A secret is a file or comes from outside, and no default stands in for it."""
    for name, service in SERVICES.items():
        environment = service.get("environment", {})
        assert isinstance(environment, dict), name
        for variable, value in environment.items():
            if SECRET_NAMES.search(variable) and not str(value).startswith("/run/secrets"):
                text = "" if value is None else str(value)
                assert REFERENCE.fullmatch(text), f"{name}: {variable}"
                assert ":-" not in text or text.endswith(":-}"), f"{name}: {variable} has a default"
        command = str(service.get("command", "")) + str(service.get("entrypoint", ""))
        assert not re.search(r"(password|secret|basic[_-]auth)=\w", command, re.IGNORECASE), name
