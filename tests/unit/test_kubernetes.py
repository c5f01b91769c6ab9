"""The manifests for Kubernetes: valid by its own schemas, and true to the program that they start."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from shared.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
VERSION = "1.32"
VARIANTS = ("base", "gpu", "trial")
# The parts of KEDA's resources that these manifests use; a word that is not here is a slip of the pen.
KEDA = {
    "ScaledObject": {
        "type": "object",
        "required": ["scaleTargetRef", "triggers"],
        "additionalProperties": False,
        "properties": {
            "scaleTargetRef": {"type": "object", "required": ["name"]},
            "minReplicaCount": {"type": "integer", "minimum": 1},
            "maxReplicaCount": {"type": "integer"},
            "pollingInterval": {"type": "integer"},
            "advanced": {"type": "object", "required": ["horizontalPodAutoscalerConfig"]},
            "triggers": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["type", "metadata", "authenticationRef", "metricType"],
                    "additionalProperties": False,
                    "properties": {
                        "type": {"const": "postgresql"},
                        "name": {"type": "string"},
                        "metricType": {"enum": ["Value", "AverageValue"]},
                        "authenticationRef": {"type": "object", "required": ["name"]},
                        "metadata": {
                            "type": "object",
                            "additionalProperties": {"type": "string"},
                            "required": ["host", "port", "dbName", "userName", "query", "targetQueryValue"],
                        },
                    },
                },
            },
        },
    },
    "TriggerAuthentication": {
        "type": "object",
        "required": ["secretTargetRef"],
        "properties": {
            "secretTargetRef": {"type": "array", "items": {"required": ["parameter", "name", "key"]}}
        },
    },
}


def written() -> Iterator[Any]:
    """Every whole object of the files; patches are seen when they are applied."""
    for path in sorted(FOLDER.rglob("*.yaml")):
        if path.parent.name != "gpu" and path.name != "kustomization.yaml":
            yield from yaml.safe_load_all(path.read_text())


def rendered(variant: str) -> list[Any]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: the variants are not rendered")
    command = ["kubectl", "kustomize", str(FOLDER / variant)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return list(yaml.safe_load_all(done.stdout))


def check(manifest: Any) -> None:
    if manifest["apiVersion"].startswith("keda.sh/"):
        jsonschema.validate(manifest["spec"], KEDA[manifest["kind"]])
    else:
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def pods(manifests: list[Any]) -> list[tuple[str, Any]]:
    workloads = [m for m in manifests if m["kind"] in ("Deployment", "StatefulSet")]
    return [(m["metadata"]["name"], m["spec"]["template"]["spec"]) for m in workloads]


def containers(pod: Any) -> list[Any]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_every_manifest_obeys_its_schema() -> None:
    manifests = list(written())
    assert len(manifests) > 20
    for manifest in manifests:
        check(manifest)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_renders_to_valid_objects(variant: str) -> None:
    manifests = rendered(variant)
    for manifest in manifests:
        check(manifest)
    names = {(m["kind"], m["metadata"]["name"]) for m in manifests}
    assert len(names) == len(manifests), "no object twice"
    for scaled in (m for m in manifests if m["kind"] == "ScaledObject"):
        assert ("Deployment", scaled["spec"]["scaleTargetRef"]["name"]) in names
        hosts = {trigger["metadata"]["host"] for trigger in scaled["spec"]["triggers"]}
        assert all(("postgres.brain-tumor" in host) == (variant == "trial") for host in hosts)


def test_the_gpu_variant_asks_for_one_device_each() -> None:
    (scan,) = (pod for name, pod in pods(rendered("gpu")) if name == "worker-scan")
    (container,) = scan["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"name": "WORKER_ROLE", "value": "scan"} in container["env"]


def test_the_trial_keeps_pictures_where_every_part_finds_them() -> None:
    for name, pod in pods(rendered("trial")):
        mounts = {m["mountPath"] for c in pod["containers"] for m in c.get("volumeMounts", [])}
        assert ("/data" in mounts) == (name in {"api", "worker-scan", "worker-report", "redis"}), name


def test_every_container_is_confined_and_bounded() -> None:
    for name, pod in pods(list(written())):
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        for container in containers(pod):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name


def test_every_setting_that_is_given_exists() -> None:
    lines = (FOLDER / "base" / "settings.env").read_text().splitlines()
    literals = yaml.safe_load((FOLDER / "trial" / "kustomization.yaml").read_text())
    given = [*lines, *literals["configMapGenerator"][0]["literals"]]
    for _, pod in pods(list(written())):
        for container in containers(pod):
            given += [f"{item['name']}=" for item in container.get("env", [])]
    names = {line.partition("=")[0] for line in given}
    foreign = {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD_FILE", "PGDATA"}
    assert {name.lower() for name in names - foreign} <= set(Settings.model_fields)


def test_no_secret_is_written_down() -> None:
    assert not [m for m in written() if m["kind"] == "Secret"]
    text = "".join(path.read_text().lower() for path in FOLDER.rglob("*") if path.is_file())
    for name in ("secret_key=", "db_password=", "smtp_password=", "aws_secret_access_key="):
        assert name not in text
