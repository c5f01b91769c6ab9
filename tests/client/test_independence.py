"""The wire is the only link between the client and the product."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = {"api", "worker", "shared", "stack", "bench", "samples", "tests"}
CLIENT = ROOT / "client" / "brain_scans"
MAX_LINES = 250


def imported(path: Path) -> Iterator[str]:
    """The top-level names of the modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def sources(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]


@pytest.mark.parametrize("path", sources(CLIENT), ids=lambda path: path.name)
def test_the_client_imports_nothing_of_the_product(path: Path) -> None:
    assert PRODUCT.isdisjoint(imported(path))


def test_the_product_does_not_import_the_client() -> None:
    product = sources(*(ROOT / name for name in ("api", "worker", "shared", "stack")))
    assert [path for path in product if "brain_scans" in imported(path)] == []


@pytest.mark.parametrize("path", sources(CLIENT), ids=lambda path: path.name)
def test_a_module_of_the_client_has_one_job_and_says_it_first(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert text.startswith('"""')


def test_only_one_module_reads_folders_from_the_environment() -> None:
    readers = {path.name for path in sources(CLIENT) if "os.environ" in path.read_text()}
    assert readers == {"places.py", "cli.py"}  # cli.py: the password, and nothing else
