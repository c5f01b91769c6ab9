"""The deployment on one machine, as far as its files tell: confined, complete, without secrets.

Queues are held against the cluster's files and the local stack's too.
"""

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from deploy import prepare
from shared.queue import QUEUES
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NGINX = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
START_AS_ROOT = {"postgres", "redis"}  # their images take their folder and then become somebody else
OUR_OWN = {
    "FLASK_ENV": "production",
    "DB_HOST": "postgres",
    "REDIS_URL": "redis://redis:6379/0",
    "METRICS_HOST": "0.0.0.0",  # noqa: S104 - of a container
    "METRICS_PORT": 9100,
    "TRUSTED_PROXIES": 1,
}
BY_FILE = {"SECRET_KEY", "DB_PASSWORD"}
FOR_OTHER_SETUPS = {
    "FLASK_DEBUG", "FAIL_AT", "DEVELOPMENT_ADMIN",  # refused in production
    "DATABASE_URL", "DB_PORT",  # Postgres is the one beside
    "IMAGE_FOLDER", "REPORT_FOLDER", "STAGING_FOLDER", "MODEL_FOLDER",  # of the images, on the volumes
    "ADMIN_PASSWORD",  # given to one command, not to a service
    "WORKER_ROLE",  # of each service
}  # fmt: skip
OF_OTHER_PROGRAMS = {"FLOWER_BASIC_AUTH", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"}
READERS = {
    "storage": {"api", "worker-scan", "worker-report"},
    "mail": {"api", "worker-report"},
}


def variables(service: str) -> dict[str, Any]:
    found: dict[str, Any] = SERVICES[service].get("environment", {})
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "pid", "ipc", "devices"}
    assert service.get("network_mode", "none") == "none"
    assert "docker.sock" not in str(service.get("volumes", []))
    if name in START_AS_ROOT:
        assert set(service["cap_add"]) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    else:
        assert "cap_add" not in service
        assert int(service["user"].split(":")[0]) > 0


@pytest.mark.parametrize("name", SERVICES)
def test_only_nginx_is_reached_from_other_machines(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    if name == "nginx":
        assert len(ports) == 2
    else:
        assert all(port.startswith("127.0.0.1:") for port in ports)


def test_databases_are_on_a_network_without_a_way_out() -> None:
    assert COMPOSE["networks"]["data"]["internal"] is True
    assert [SERVICES[name]["networks"] for name in ("postgres", "redis")] == [["data"], ["data"]]
    assert SERVICES["nginx"]["networks"] == ["front"]


def test_logs_and_restarts_are_bounded_or_meant() -> None:
    once = {"prepare": "on-failure:3", "migrate": "no"}
    for name, service in SERVICES.items():
        assert service["logging"]["options"]["max-size"]
        assert service["restart"] == once.get(name, "unless-stopped")


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_reaches_the_services_that_read_it(name: str) -> None:
    variable = name.upper()
    reached = {service for service in SERVICES if variable in variables(service)}
    if variable in FOR_OTHER_SETUPS | BY_FILE:
        assert reached <= {"worker-scan", "worker-report"} if variable == "WORKER_ROLE" else not reached
        return
    assert reached, f"{variable} is in config.env.example and in no service"
    for service in reached:
        value = variables(service)[variable]
        if variable in OUR_OWN:
            assert value == OUR_OWN[variable]
        else:
            assert re.fullmatch(rf"\$\{{{variable}:-.*\}}", value), f"{variable} of {service} is fixed"
    for family, readers in READERS.items():
        module = __import__(f"shared.configuration.{family}", fromlist=["x"])
        fields = {field for kind in vars(module).values() for field in getattr(kind, "model_fields", {})}
        if name in fields and variable not in FOR_OTHER_SETUPS:
            assert reached == readers, f"{variable} belongs to {sorted(readers)}"


def test_services_are_given_nothing_that_they_would_not_read() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for service in ("migrate", "api", "worker-scan", "worker-report", "beat", "flower"):
        assert variables(service).keys() <= known, service


def test_a_setting_is_handed_on_under_its_own_name() -> None:
    pairs = re.findall(r"^ +([A-Z][A-Z0-9_]+): [\"]?\$\{([A-Z0-9_]+)", COMPOSE_TEXT, re.MULTILINE)
    assert len(pairs) > 40
    assert [pair for pair in pairs if pair[0] != pair[1] and pair[0] not in OF_OTHER_PROGRAMS] == []


def consumed(text: str) -> set[str]:
    """Queues in comma-separated lists."""
    lists = re.findall(r"\"((?:[a-z]+(?:\.[a-z]+)?,)+[a-z]+(?:\.[a-z]+)?)\"", text)
    return {name for names in lists for name in names.split(",")}


def test_every_queue_is_consumed_wherever_the_product_runs() -> None:
    in_containers = COMPOSE_TEXT + (ROOT / "Dockerfile.worker").read_text()
    on_a_cluster = "".join(
        path.read_text() for path in (ROOT / "deploy" / "kubernetes").rglob("worker-*.yaml")
    )
    for text in (in_containers, on_a_cluster, (ROOT / "stack" / "programs.py").read_text()):
        assert set(QUEUES) <= consumed(text)


def test_proxy_and_api_agree_on_the_largest_body_and_the_longest_wait() -> None:
    given = variables("nginx")
    fields = Settings.model_fields
    assert given["MAX_CONTENT_LENGTH"] == f"${{MAX_CONTENT_LENGTH:-{fields['max_content_length'].default}}}"
    assert given["MAX_WAIT_SECONDS"] == f"${{MAX_WAIT_SECONDS:-{fields['max_wait_seconds'].default}}}"
    assert "client_max_body_size @BODY_LIMIT@;" in NGINX
    assert "proxy_read_timeout @READ_TIMEOUT@s;" in NGINX
    start = (ROOT / "deploy" / "nginx" / "start.sh").read_text()
    assert "print int(wait) + 35" in start


def test_only_the_link_to_config_env_is_what_compose_reads() -> None:
    assert (ROOT / ".env").readlink() == Path("config.env")


def test_no_file_of_the_deployment_holds_a_secret() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "deploy", "docker-compose*.yml", "Dockerfile*", ".env", "secrets", "certificate"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    for path in tracked:
        text = (ROOT / path).read_text() if (ROOT / path).is_file() else ""
        assert "PRIVATE KEY" not in text, path
        assert not re.search(r"(PASSWORD|SECRET_KEY|BASIC_AUTH)[A-Z_]*[:=] *[\"']?[A-Za-z0-9+_-]{12,}", text)


def test_images_run_as_the_same_user_and_reap_what_is_left() -> None:
    for name in ("Dockerfile.api", "Dockerfile.worker"):
        text = (ROOT / name).read_text()
        assert "USER 10001:10001" in text
        assert 'ENTRYPOINT ["tini", "--"]' in text
        assert "HEALTHCHECK" in text
    assert "torch" not in (ROOT / "requirements-api.txt").read_text().lower().replace("no torch", "")


def test_secrets_are_made_once_and_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "db_password").write_text("of the operator")
    prepare.make_secrets(tmp_path)
    first = {path.name: path.read_text() for path in tmp_path.iterdir()}
    prepare.make_secrets(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == first
    assert first["db_password"] == "of the operator"
    assert len(first["secret_key"]) == 64
    assert first["flower_basic_auth"].startswith("ops:")


def test_a_certificate_is_made_for_the_public_name_and_an_operators_own_stays(tmp_path: Path) -> None:
    prepare.make_certificate(tmp_path, "scans.example.org")
    made = (tmp_path / "server.crt").read_bytes()
    names = x509.load_pem_x509_certificate(made).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert (
        names.value.get_values_for_type(x509.DNSName) == ["scans.example.org", "localhost", "127.0.0.1"][:2]
    )
    prepare.make_certificate(tmp_path, "another.example.org")
    assert (tmp_path / "server.crt").read_bytes() == made


def test_only_a_certificate_of_our_own_is_made_anew_before_it_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "LASTS", timedelta(days=7))  # as if most of its time had passed
    prepare.make_certificate(tmp_path, "localhost")
    old = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
    monkeypatch.undo()
    prepare.make_certificate(tmp_path, "localhost")
    new = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
    assert old.not_valid_after_utc < datetime.now(UTC) + timedelta(days=8)
    assert new.not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "server.crt").write_text("x")
    with pytest.raises(SystemExit, match="both"):
        prepare.make_certificate(tmp_path, "localhost")
