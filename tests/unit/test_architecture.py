"""Rules of the structure that no other tool checks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.queue import QUEUES

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("api", "worker", "shared")
MAX_LINES = 250


def sources(*folders: str) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "versions" not in path.parts
    ]


def test_the_api_never_loads_torch() -> None:
    heavy = "{'torch', 'torchvision', 'worker'}"
    script = (
        f"import sys, api, api.cli; sys.exit(bool({heavy} & {{name.split('.')[0] for name in sys.modules}}))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_a_process_with_local_stores_loads_no_vendors_sdk(tmp_path: Path) -> None:
    script = (
        "import sys; from shared.services import build_services; from shared.settings import Settings;"
        "build_services(Settings(_env_file=None, database_url='postgresql://nobody@nowhere/none'));"
        "sys.exit(bool({'boto3', 'botocore', 'cloudinary', 'urllib3'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.defpath}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0


def test_only_one_file_reads_the_environment() -> None:
    pattern = re.compile(r"os\.environ|os\.getenv|getenv\(|BaseSettings")
    readers = [str(path.relative_to(ROOT)) for path in sources(*PRODUCT) if pattern.search(path.read_text())]
    assert readers == ["shared/settings.py"]


@pytest.mark.parametrize(
    "path", sources(*PRODUCT, "stack", "samples", "bench"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_module_has_one_job_and_says_it_first(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert not text.strip() or text.lstrip().startswith('"""'), "the first line says what the module is for"


def test_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_queue_and_task_names_are_constants() -> None:
    text = "".join(path.read_text() for path in sources(*PRODUCT) if path.name != "queue.py")
    assert [name for name in QUEUES if "." in name and f'"{name}"' in text] == []
